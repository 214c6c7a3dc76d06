"""The faults, each as a function on the stage; every choice comes from the stage's seed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from chaos.cluster import Cluster, Node
from chaos.faults import Faults
from chaos.membership import EXPELLED_SECONDS_MAX, await_expelled, holders
from chaos.roles import ROLES, broker_of
from chaos.stage import Stage

from stream.broker import EmbeddedBroker
from stream.limits import SESSION_TIMEOUT_MS

PAUSE_SECONDS = SESSION_TIMEOUT_MS / 1000 + 1.5
JOIN_SECONDS = 2.0
JOIN_SECONDS_MAX = 30.0
ONE_OF_THREE_SECONDS = 5.0
SETTLE_SECONDS = 2.0
FULL_SECONDS = 10.0
BALLAST_STEP = 1024 * 1024


def nothing(stage: Stage) -> None:
    """No fault but the workload itself."""
    stage.faults.count()


def kill_workers(stage: Stage) -> None:
    """SIGKILL a worker at a random moment, some while others or itself are still starting."""
    while stage.faults.done < stage.faults.planned:
        # Three of four wait for a worker at work; the fourth strikes wherever things stand.
        if stage.random.random() < 0.75:
            while not any(map(stage.engine.ready, stage.engine.workers)):
                time.sleep(0.02)
        time.sleep(stage.random.uniform(0.05, 0.5))
        ready = [name for name in stage.engine.workers if stage.engine.ready(name)]
        stage.engine.kill(stage.random.choice(ready or stage.engine.workers))
        stage.faults.count()
        time.sleep(0.1)


def zombies(stage: Stage) -> None:
    """Stop workers until others hold all that was theirs, then wake the stopped.

    A worker that was not expelled was no zombie, and its scenario has shown nothing.
    """
    engine, settings = stage.engine, stage.engine.settings
    while stage.faults.done < stage.faults.planned:
        engine.await_ready(engine.workers)
        time.sleep(stage.random.uniform(0.2, 1.0))
        left = stage.faults.planned - stage.faults.done
        chosen = stage.random.sample(engine.workers, min(left, len(engine.workers) - 1))
        for name in chosen:
            time.sleep(stage.random.uniform(0.0, 0.15))
            engine.signal(name, signal.SIGSTOP)
        time.sleep(PAUSE_SECONDS)
        prefix = f"{settings.group_id}-{settings.instance}"
        names = [name.replace("worker", prefix) for name in chosen]
        if await_expelled(
            names, partial(holders, settings), settings.partitions, EXPELLED_SECONDS_MAX
        ):
            stage.faults.notes += ["a stopped worker expelled, all it held with others"] * len(
                names
            )
        else:
            stage.faults.failures.append(f"{', '.join(chosen)} stopped and not expelled")
        for name in chosen:
            engine.signal(name, signal.SIGCONT)
            stage.faults.count()
        time.sleep(1.5)


def join_and_leave(stage: Stage) -> None:
    """One more worker, of another host, joins, stays a while and leaves."""
    engine = stage.engine
    name = f"worker-{len(engine.workers)}"
    while stage.faults.done < stage.faults.planned:
        engine.launch(name, instance=f"guest-{stage.faults.done % 4}")
        deadline = time.monotonic() + JOIN_SECONDS_MAX
        while not engine.ready(name) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not engine.ready(name):
            stage.faults.failures.append("a guest did not join within 30 s")
        time.sleep(JOIN_SECONDS)
        engine.leave(name)
        stage.faults.count()
        time.sleep(stage.random.uniform(0.1, JOIN_SECONDS / 2))


def kill_broker(broker: EmbeddedBroker, down_seconds: float) -> Callable[[Stage], None]:
    """SIGKILL the only broker and start it again after a while."""

    def strike(stage: Stage) -> None:
        while stage.faults.done < stage.faults.planned:
            time.sleep(stage.random.uniform(2.0, 4.0))
            held_kb = stage.engine.held_kb()
            broker.kill()
            time.sleep(down_seconds)
            _must_be_alive(stage)
            _count_gain(stage, held_kb)
            broker.start()
            stage.faults.count()
            _await_decisions(stage)
        gained = stage.faults.gained_mb
        stage.faults.notes.append(f"a worker gained {gained:.0f} MB at most without its broker")

    return strike


def start_late(broker: EmbeddedBroker, down_seconds: float) -> Callable[[Stage], None]:
    """The engine was started without its broker, which comes up only after a while."""

    def strike(stage: Stage) -> None:
        time.sleep(down_seconds)
        _must_be_alive(stage)
        if any(map(stage.engine.ready, stage.engine.workers)):
            stage.faults.failures.append("a worker says it is ready without a broker")
        broker.start()
        stage.faults.count()
        _await_decisions(stage)

    return strike


def _count_gain(stage: Stage, before_kb: dict[int, int]) -> None:
    """How much memory the workers took since; one that was started again has no before."""
    for pid, held_kb in stage.engine.held_kb().items():
        gained_mb = (held_kb - before_kb.get(pid, held_kb)) / 1024
        stage.faults.gained_mb = max(stage.faults.gained_mb, gained_mb)


def _must_be_alive(stage: Stage) -> None:
    if not all(map(stage.engine.alive, stage.engine.workers)):
        stage.faults.failures.append("the engine ended while the broker was away")


def _await_decisions(stage: Stage, seconds: float = 90.0) -> None:
    """Wait for new committed decisions after a heal; that none come is a failure."""
    before, deadline = stage.monitor.decisions, time.monotonic() + seconds
    while stage.monitor.decisions == before:
        if time.monotonic() > deadline:
            stage.faults.failures.append(f"no new decision within {seconds:.0f} s of a heal")
            return
        time.sleep(0.1)


def kill_by_role(cluster: Cluster) -> Callable[[Stage], None]:
    """SIGKILL the one broker of three that has a role, each role in turn, for five seconds."""

    def strike(stage: Stage) -> None:
        while stage.faults.done < stage.faults.planned:
            role = ROLES[stage.faults.done % len(ROLES)]
            time.sleep(stage.random.uniform(1.0, 2.0))
            node = cluster.nodes[broker_of(role, stage.engine.settings, stage.random) - 1]
            at = time.monotonic()
            node.kill()
            time.sleep(ONE_OF_THREE_SECONDS)
            _bring_back(stage, cluster, node, at, role)

    return strike


def restart_in_turn(cluster: Cluster) -> Callable[[Stage], None]:
    """Stop and start one broker of three after the other, as an upgrade would."""

    def strike(stage: Stage) -> None:
        while stage.faults.done < stage.faults.planned:
            node = cluster.nodes[stage.faults.done % len(cluster.nodes)]
            time.sleep(stage.random.uniform(1.0, 2.0))
            at = time.monotonic()
            node.stop()
            _bring_back(stage, cluster, node, at, "")

    return strike


def _bring_back(stage: Stage, cluster: Cluster, node: Node, at: float, kind: str) -> None:
    """Start it and wait for all replicas; two brokers decide on, so recovery counts from `at`."""
    node.start()
    cluster.await_whole(node)
    cluster.await_in_sync()
    stage.faults.count(at, kind)
    _await_decisions(stage)


def lose_two(cluster: Cluster, down_seconds: float) -> Callable[[Stage], None]:
    """Kill the two brokers that are not the controller: too few in sync for anything to commit."""

    def strike(stage: Stage) -> None:
        while stage.faults.done < stage.faults.planned:
            time.sleep(stage.random.uniform(2.0, 3.0))
            for node in cluster.nodes[1:]:
                node.kill()
            cluster.await_in_sync(1)
            time.sleep(SETTLE_SECONDS)
            before = stage.monitor.decisions
            time.sleep(down_seconds)
            if stage.monitor.decisions != before:
                stage.faults.failures.append("decided with one replica in sync")
            _must_be_alive(stage)
            for node in cluster.nodes[1:]:
                node.start()
            for node in cluster.nodes[1:]:
                cluster.await_whole(node)
            stage.faults.count()
            _await_decisions(stage)
            cluster.await_in_sync()

    return strike


def fill_disk(broker: EmbeddedBroker, folder: Path) -> Callable[[Stage], None]:
    """Fill the small disk under the broker's log, keep it full, and give the room back.

    A broker whose only log folder fails ends itself; it is started again once there is room.
    """

    def strike(stage: Stage) -> None:
        while stage.faults.done < stage.faults.planned:
            time.sleep(2.0)
            ballast = folder / "ballast"
            with ballast.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(BALLAST_STEP))
                except OSError:
                    stage.faults.notes.append("disk full")
            # Until then what is left of a page may still take a record.
            time.sleep(SETTLE_SECONDS)
            before = stage.monitor.decisions
            time.sleep(FULL_SECONDS)
            decided = stage.monitor.decisions - before
            if decided:
                stage.faults.failures.append(f"{decided} decisions on a full disk")
            ballast.unlink()
            if broker.running:
                stage.faults.notes.append("the broker stayed up and took no decision")
            else:
                stage.faults.notes.append("the broker ended itself on the full disk")
                broker.restart()
            stage.faults.count()
            _await_decisions(stage)

    return strike


def jump_clocks(stage: Stage) -> None:
    """An hour forward, an hour back, and home, in the middle of transactions."""
    path = Path(stage.engine.extra["CHAOS_CLOCK"])
    while stage.faults.done < stage.faults.planned:
        time.sleep(stage.random.uniform(0.3, 1.5))
        path.write_text(str(stage.random.choice((-3_600_000, 0, 3_600_000))))
        stage.faults.count()
    path.write_text("0")


def mix(stage: Stage) -> None:
    """Some of each: clocks jump, a guest joins and leaves, a worker becomes a zombie."""
    strikes = (jump_clocks, join_and_leave, zombies)
    for strike in strikes:
        # Counted apart and added up behind it: how far all of them are paces the workload.
        part = Faults(max(1, stage.faults.planned // len(strikes)))
        strike(stage._replace(faults=part))
        stage.faults.add(part)


def mount_small_disk(folder: Path, megabytes: int) -> bool:
    """A tmpfs of its own; False where this user may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.which("mount") is None:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "chaos", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def unmount(folder: Path) -> None:
    """Give the small disk up."""
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)
