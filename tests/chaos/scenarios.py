"""Every scenario by name: its sizes in full and in short, its broker, its nemesis."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from chaos import nemesis
from chaos.cluster import NODES, Cluster
from chaos.crashes import Wire, play_crashes, reserved_port
from chaos.progress import Say
from chaos.stage import Plan, Result, Stage, play
from chaos.workload import Shape, Workload

from stream.broker import EmbeddedBroker
from stream.ops import topics

HOUR_MS = 3_600_000
GAINED_MB_MAX = 50.0
"""What a worker may gain while its broker is away."""
PEAK_MB_MAX = 250.0
"""What a worker may hold beside its ledger, however long the backlog."""
LEDGER_KB_MAX = 1.0
"""For each id of the last 90 days; 0.9 were measured."""


class Size(NamedTuple):
    """How big: applications, faults, and about how many seconds the faults take."""

    applications: int
    faults: int
    seconds: float


class Setting(NamedTuple):
    """What a scenario is played with."""

    size: Size
    seed: int
    folder: Path
    say: Say

    def workload(self, *, age_ms: int = 0, **shape: float) -> Workload:
        """W at this size; whitelist updates are six for every ten applications."""
        count = self.size.applications
        given = {"whitelist_updates": count * 6 // 10, **shape}
        return Workload(Shape(count, self.seed, **given), age_ms=age_ms)  # type: ignore[arg-type]


class SkippedError(Exception):
    """Says why this machine cannot play the scenario."""


class Scenario(NamedTuple):
    """One row of the closing table."""

    full: Size
    short: Size
    run: Callable[[str, Setting], Result]
    minutes: tuple[int, int]
    """About how long it takes in full and in short, alone on two cores."""
    what: str


def _on_one_broker(name: str, at: Setting, plan: Callable[[EmbeddedBroker], Plan]) -> Result:
    with EmbeddedBroker(at.folder / "broker") as broker:
        topics.apply(broker.bootstrap, partitions=6, replication=1)
        return play(plan(broker), broker.bootstrap, at.folder, at.say, at.seed)


def _kill(name: str, at: Setting) -> Result:
    size = at.size
    plan = Plan(name, at.workload(), size.faults, size.seconds, nemesis.kill_workers,
                kills_often=True)  # fmt: skip
    return _on_one_broker(name, at, lambda _: plan)


def _zombies(name: str, at: Setting) -> Result:
    size, workers = at.size, min(5, at.size.faults + 1)
    plan = Plan(name, at.workload(), size.faults, size.seconds, nemesis.zombies, max(2, workers))
    return _on_one_broker(name, at, lambda _: plan)


def _join(name: str, at: Setting) -> Result:
    size = at.size
    plan = Plan(name, at.workload(), size.faults, size.seconds, nemesis.join_and_leave)
    return _on_one_broker(name, at, lambda _: plan)


def _broker(down_seconds: float) -> Callable[[str, Setting], Result]:
    def run(name: str, at: Setting) -> Result:
        size, workload = at.size, at.workload()
        down = down_seconds if size.faults > 1 or down_seconds > 10 else 1.0

        def plan(broker: EmbeddedBroker) -> Plan:
            strike = nemesis.kill_broker(broker, down)
            return Plan(name, workload, size.faults, size.seconds, strike,
                        gained_mb_max=GAINED_MB_MAX, broker_dies=True)  # fmt: skip

        return _on_one_broker(name, at, plan)

    return run


def _late(name: str, at: Setting) -> Result:
    size, workload = at.size, at.workload()

    def plan(broker: EmbeddedBroker) -> Plan:
        strike = nemesis.start_late(broker, size.seconds)
        return Plan(name, workload, 1, size.seconds, strike, shipped=True, before=broker.stop)

    return _on_one_broker(name, at, plan)


def _storm(name: str, at: Setting) -> Result:
    size, workload = at.size, at.workload(copies=20, repeats=0.0)
    plan = Plan(name, workload, size.faults, size.seconds, nemesis.kill_workers, kills_often=True)
    return _on_one_broker(name, at, lambda _: plan)


def _backlog(name: str, at: Setting) -> Result:
    workload = at.workload(per_person=20, whitelist_updates=0)
    # The partitions, and so the ids, are halved between two workers, within a tenth.
    ledger_mb = LEDGER_KB_MAX * at.size.applications * 0.55 / 1024
    plan = Plan(name, workload, 1, 1.0, nemesis.nothing, preload=True, batch_records=500,
                peak_mb_max=PEAK_MB_MAX + ledger_mb)  # fmt: skip
    return _on_one_broker(name, at, lambda _: plan)


def _skewed(strike: Callable[[Stage], None]) -> Callable[[str, Setting], Result]:
    """Workers whose clocks can be put off while they are struck."""

    def run(name: str, at: Setting) -> Result:
        size, path = at.size, at.folder / "clock"
        at.folder.mkdir(parents=True, exist_ok=True)
        path.write_text("0")
        # Two hours old, so that an hour back does not put an application into the future.
        workload = at.workload(age_ms=2 * HOUR_MS)
        plan = Plan(name, workload, size.faults, size.seconds, strike,
                    module="chaos.skewed_worker", extra=skewed(path))  # fmt: skip
        return _on_one_broker(name, at, lambda _: plan)

    return run


def skewed(path: Path) -> dict[str, str]:
    """Environment of a worker whose clock is put off by the file."""
    return {"CHAOS_CLOCK": str(path), "PYTHONPATH": str(Path(__file__).parents[1])}


def _disk(name: str, at: Setting) -> Result:
    size, disk = at.size, at.folder / "broker" / "data"
    if not nemesis.mount_small_disk(disk, 400):
        raise SkippedError("a tmpfs cannot be mounted here: needs root or CAP_SYS_ADMIN")
    try:
        workload = at.workload()

        def plan(broker: EmbeddedBroker) -> Plan:
            strike = nemesis.fill_disk(broker, disk)
            return Plan(name, workload, size.faults, size.seconds, strike, broker_dies=True)

        return _on_one_broker(name, at, plan)
    finally:
        nemesis.unmount(disk)


def _cluster(
    nemesis_of: Callable[[Cluster], Callable[[Stage], None]], controllers: int = NODES
) -> Callable[[str, Setting], Result]:
    def run(name: str, at: Setting) -> Result:
        size = at.size
        at.say("starting three brokers")
        with Cluster(at.folder / "brokers", controllers) as cluster:
            topics.apply(cluster.bootstrap, partitions=6, replication=3)
            cluster.await_in_sync()
            plan = Plan(name, at.workload(), size.faults, size.seconds, nemesis_of(cluster),
                        broker_dies=True)  # fmt: skip
            return play(plan, cluster.bootstrap, at.folder, at.say, at.seed)

    return run


def _lose_two(name: str, at: Setting) -> Result:
    down = at.size.seconds / at.size.faults / 3
    strike = partial(nemesis.lose_two, down_seconds=down)
    return _cluster(strike, controllers=1)(name, at)


def _crashes(name: str, at: Setting) -> Result:
    port = reserved_port()
    with EmbeddedBroker(at.folder / "broker", proxied_port=port) as broker:
        topics.apply(broker.bootstrap, partitions=6, replication=1)
        wire = Wire(broker.bootstrap, port, broker.behind_proxy)
        return play_crashes(name, wire, at.folder, at.say, at.seed, at.size.faults)


SCENARIOS: dict[str, Scenario] = {
    "kill100": Scenario(Size(100_000, 100, 240), Size(1_200, 5, 10), _kill, (12, 1),
                        "SIGKILL of one of two workers, again and again"),
    "crashpoints": Scenario(Size(8_400, 84, 600), Size(400, 5, 20), _crashes, (10, 1),
                            "P0-P13, first, middle and last batch, one and two workers"),
    "zombies": Scenario(Size(60_000, 50, 240), Size(2_000, 1, 14), _zombies, (6, 1),
                        "SIGSTOP of workers beyond their session, then SIGCONT"),
    "joins": Scenario(Size(60_000, 50, 300), Size(2_000, 3, 15), _join, (7, 1),
                      "a third worker joins, works two seconds and leaves"),
    "broker_kill": Scenario(Size(40_000, 10, 150), Size(1_000, 1, 6), _broker(3.0), (5, 1),
                            "SIGKILL of the only broker"),
    "outage70": Scenario(Size(20_000, 1, 80), Size(2_000, 1, 80), _broker(70.0), (3, 3),
                         "the only broker away for 70 s"),
    "late_broker": Scenario(Size(20_000, 1, 70), Size(1_000, 1, 20), _late, (3, 2),
                            "the engine starts, the broker 70 s (short: 20 s) later"),
    "storm": Scenario(Size(10_000, 20, 60), Size(300, 2, 8), _storm, (5, 1),
                      "every id sent twenty times, with kills"),
    "backlog": Scenario(Size(1_000_000, 1, 1), Size(20_000, 1, 1), _backlog, (25, 1),
                        "a million waiting when the engine starts; memory is bounded"),
    "three_brokers": Scenario(Size(40_000, 30, 600), Size(2_000, 3, 60),
                              _cluster(nemesis.kill_by_role), (15, 3),
                              "SIGKILL of one broker of three by its role, each role in turn"),
    "rolling": Scenario(Size(40_000, 6, 120), Size(2_000, 3, 60),
                        _cluster(nemesis.restart_in_turn), (4, 3),
                        "three brokers restarted in turn"),
    "min_isr": Scenario(Size(20_000, 3, 180), Size(2_000, 1, 30), _lose_two, (4, 2),
                        "two brokers of three away: nothing can commit, nothing does"),
    "disk_full": Scenario(Size(20_000, 3, 60), Size(2_000, 1, 20), _disk, (3, 2),
                          "no room under the broker's log"),
    "clock_jumps": Scenario(Size(40_000, 40, 45), Size(2_000, 8, 8),
                            _skewed(nemesis.jump_clocks), (2, 1),
                            "worker clocks an hour forward, back and home"),
    "mixed": Scenario(Size(20_000, 15, 180), Size(600, 3, 20), _skewed(nemesis.mix), (5, 1),
                      "clocks jump, a worker joins and leaves, another becomes a zombie"),
}  # fmt: skip
