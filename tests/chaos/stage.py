"""One scenario from start to verdict: broker, engine, workload, faults, drain, oracle."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from threading import Event
from typing import NamedTuple

from chaos.engine import Engine
from chaos.faults import Faults
from chaos.monitor import Monitor
from chaos.oracle import Verdict, judge
from chaos.progress import Progress, Say
from chaos.reading import committed, ends, home_of, looker, read_all
from chaos.replaying import Replay, replay_audit
from chaos.shipped import Shipped
from chaos.sides import Sides
from chaos.workload import Pacer, Publisher, Updates, Workload
from confluent_kafka import KafkaException, TopicPartition

from stream.broker.place import free_port
from stream.config import Settings, load_settings
from stream.demo.tables import bureau_rows, publish_bureau, publish_whitelist, whitelist_rows
from stream.domain.topics import APPLICATIONS, EVENTS, REVIEWS
from stream.errors import Exit

DRAIN_SECONDS = 420.0
SILENT_SECONDS = 0.3
COORDINATOR_SECONDS_MAX = 60.0
DRAIN_A_SECOND_MIN = 1_000
"""A backlog of a million may take so much longer."""


class Stage(NamedTuple):
    """What a nemesis may lay its hands on."""

    engine: Engine
    monitor: Monitor
    faults: Faults
    random: Random
    folder: Path


class Plan(NamedTuple):
    """One scenario, sized."""

    name: str
    workload: Workload
    faults: int
    seconds: float
    nemesis: Callable[[Stage], None]
    workers: int = 2
    preload: bool = False
    batch_records: int = 100
    module: str | None = None
    extra: dict[str, str] | None = None
    kills_often: bool = False
    """More often than the shipped supervisor bears: then only ends that nobody asked for count."""
    shipped: bool = False
    """Under the engine's own supervisor."""
    before: Callable[[], None] | None = None
    """Done just before the engine starts, which is then not waited for."""
    peak_mb_max: float = math.inf
    gained_mb_max: float = math.inf
    """Of a worker whose broker is away."""
    broker_dies: bool = False
    """A worker whose place in the group went with the broker may end, to be started again."""


@dataclass
class Result:
    """One row of the closing table."""

    name: str
    faults: Faults
    verdict: Verdict
    recoveries: dict[str, list[float]]
    replay: Replay
    peak_mb: float
    growth_mb: float
    seconds: float
    commit: str = ""
    """Of which code it is."""

    @property
    def failures(self) -> list[str]:
        """Everything that must not be, each in a line."""
        found = [f"{each.kind}: {each.where}: {each.what}" for each in self.verdict.findings]
        if self.replay.identical != self.replay.records:
            less = self.replay.records - self.replay.identical
            found += [f"{less} decisions replayed otherwise", *self.replay.different]
        if self.replay.records < self.verdict.decisions:
            found.append("fewer decisions replayed than decided")
        return found + self.faults.failures

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled, mismatched, replayed otherwise or out of bounds."""
        return not self.failures


def engine_settings(bootstrap: str, folder: Path, name: str, batch_records: int) -> Settings:
    """Settings of one engine with a group, a store, models and a policy of its own.

    A policy or model edited while a scenario runs would be another one at the next restart.
    """
    shipped = load_settings()
    shutil.copytree(shipped.models_dir, folder / "models", dirs_exist_ok=True)
    shutil.copy(shipped.policy_file, folder / "policy.toml")
    return load_settings(
        bootstrap=bootstrap,
        state_dir=folder / "state",
        models_dir=folder / "models",
        policy_file=folder / "policy.toml",
        group_id=f"chaos-{name}",
        instance="chaos",
        metrics_port=free_port(),
        batch_records=batch_records,
    )


def pass_over_earlier(settings: Settings) -> None:
    """Commit the present ends, so that this group decides what comes from now on."""
    client = looker(settings.bootstrap, settings.group_id)
    places = [
        TopicPartition(APPLICATIONS, partition, end)
        for partition, end in ends(settings.bootstrap)[APPLICATIONS].items()
    ]
    deadline = time.monotonic() + COORDINATOR_SECONDS_MAX
    while True:
        try:
            client.commit(offsets=places, asynchronous=False)
        except KafkaException:  # the coordinator of a new broker is still loading
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            break
    client.close()


def load_tables(settings: Settings, workload: Workload) -> None:
    """Whitelist and bureau of everyone who applies."""
    run, stop = workload.run, Event()
    rows = partial(whitelist_rows, workload.people, run, 0)
    publish_whitelist(settings, rows(), run, lambda _: None, stop)
    publish_bureau(settings, bureau_rows(workload.people, run, 0), run, lambda _: None, stop)


def play(plan: Plan, bootstrap: str, folder: Path, say: Say, seed: int) -> Result:
    """Run one scenario on a running broker and judge it."""
    began = time.monotonic()
    workload = plan.workload
    settings = engine_settings(bootstrap, folder, workload.run.name, plan.batch_records)
    pass_over_earlier(settings)
    say("loading the tables")
    load_tables(settings, workload)
    faults = Faults(plan.faults)
    monitor = Monitor(bootstrap)
    engine = (Shipped if plan.shipped else Engine)(settings, folder / "logs", plan.workers)
    engine.module, engine.extra = plan.module or engine.module, plan.extra or {}
    if plan.kills_often:
        spare_asked_ends(engine, faults)
    try:
        with Progress(say, monitor, faults) as progress:
            stage = Stage(engine, monitor, faults, Random(seed), folder)
            sides = Sides(bootstrap, settings.group_id, workload)
            acknowledged = _run(plan, stage, progress, sides)
            progress.phase = "draining"
            seconds = DRAIN_SECONDS + acknowledged / DRAIN_A_SECOND_MIN
            drain(settings, monitor, faults, acknowledged, seconds)
            if not plan.preload:
                # The last decisions, too, are answered, and what was answered is drained as well.
                faults.notes.append(sides.finish())
                drain(settings, monitor, faults, acknowledged, seconds)
        if plan.preload:
            faults.notes.append(monitor.rate())
    finally:
        engine.stop()
        monitor.close()
    say("reading every topic")
    verdict = judge(
        read_all(bootstrap, settings.group_id, monitor.since),
        acknowledged=acknowledged,
        home_of=home_of,
        limits_fen=workload.limits_fen,
        said=sides.said,
    )
    say("replaying the audit")
    replay = replay_audit(settings)
    hold_bounds(plan, engine, faults)
    return Result(
        plan.name,
        faults,
        verdict,
        {kind: monitor.recoveries(at, faults) for kind, at in faults.at.items()},
        replay,
        engine.peak_mb,
        engine.growth_mb,
        time.monotonic() - began,
    )


def _run(plan: Plan, stage: Stage, progress: Progress, sides: Sides) -> int:
    """Publish, start the engine, strike; how many records were acknowledged."""
    workload, faults, bootstrap = plan.workload, stage.faults, stage.engine.settings.bootstrap
    shape = workload.shape
    pacer = Pacer(shape.applications, plan.seconds, faults.progress)
    publisher = Publisher(bootstrap, workload.records(), None if plan.preload else pacer)
    updates = Updates(
        bootstrap, workload, Pacer(shape.whitelist_updates, plan.seconds, faults.progress)
    )
    if plan.preload:
        progress.phase = "filling the backlog"
        publisher.start()
        publisher.finish(1_800)
    progress.phase = "starting the engine"
    if plan.before is not None:
        plan.before()
    stage.engine.start(wait=plan.before is None)
    if not plan.preload:
        if plan.before is None:  # else there is no broker to say anything to
            sides.foretell()
        sides.start()
        publisher.start()
    updates.start()
    progress.phase = "faults"
    plan.nemesis(stage)
    faults.planned = faults.done
    progress.phase = "publishing the rest"
    publisher.finish(600)
    updates.finish(120)
    return publisher.acknowledged


def spare_asked_ends(engine: Engine, faults: Faults) -> None:
    """Hold the shipped supervisor's rule for the ends only that the scenario did not ask for."""
    engine.counts_asked = False
    faults.notes.append(
        "a process is killed more often than the shipped supervisor bears: its rule was held for "
        "ends that nobody asked for"
    )


def hold_bounds(plan: Plan, engine: Engine, faults: Faults) -> None:
    """Memory within the plan's bounds, and nobody ended unasked but as `judge_ends` allows."""
    for what, found, most in (
        ("held", engine.peak_mb, plan.peak_mb_max),
        ("gained, without its broker,", faults.gained_mb, plan.gained_mb_max),
    ):
        if found > most:
            faults.failures.append(f"a worker {what} {found:.0f} MB, more than {most:.0f}")
    most = faults.done * len(engine.workers) if plan.broker_dies else 0
    judge_ends(engine, faults, most)


def judge_ends(engine: Engine, faults: Faults, most: int) -> None:
    """Every end is a failure, but for at most so many with the code of a broker's fault.

    So is an engine that the shipped supervisor would have given up, whatever its ends were.

    A broker that dies while it answers a join leaves a static member with the id of before: it is
    fenced, for which its client knows no way back, and ends to be started again. The same is told
    of another process under its name, so it must not go on by itself.
    """
    if engine.given_up:
        faults.failures.append(engine.given_up)
    for each in engine.ended:
        if each.code == Exit.BROKER and most > 0:
            most -= 1
            faults.notes.append(f"{each}; started again")
        else:
            faults.failures.append(str(each))


def drain(
    settings: Settings, monitor: Monitor, faults: Faults, published: int, seconds: float
) -> None:
    """Wait until the group has committed past all that was sent; a failure when it does not.

    Nothing is past before the monitor, too, has seen all that was published.
    """
    deadline = time.monotonic() + seconds
    said = {topic: ends(settings.bootstrap)[topic] for topic in (EVENTS, REVIEWS)}
    quiet = 0
    while quiet < 3:
        if time.monotonic() > deadline:
            faults.failures.append(f"not drained within {seconds:.0f} s")
            return
        time.sleep(0.2)
        if monitor.silent_seconds < SILENT_SECONDS or monitor.applications < published:
            # Asking costs a client of its own, and a core while a backlog is worked off.
            quiet = 0
            continue
        with suppress(KafkaException):
            offsets = committed(settings.bootstrap, settings.group_id)
            past = all(offsets[p] > last for p, last in monitor.last.items() if last >= 0)
            for topic, due in said.items():
                heard = committed(settings.bootstrap, settings.group_id, topic=topic)
                past = past and all(max(0, heard[p]) >= end for p, end in due.items())
            quiet = quiet + 1 if past else 0
