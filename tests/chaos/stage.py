"""One scenario from start to verdict: broker, engine, workload, faults, drain, oracle."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from threading import Event
from typing import NamedTuple

from chaos.engine import Engine
from chaos.monitor import Monitor
from chaos.oracle import Verdict, judge
from chaos.reading import committed, ends, home_of, looker, read_all
from chaos.workload import Pacer, Publisher, Updates, Workload
from confluent_kafka import KafkaException, TopicPartition

from stream.broker.place import free_port
from stream.config import Settings, load_settings
from stream.demo.tables import bureau_rows, publish_bureau, publish_whitelist, whitelist_rows
from stream.domain.topics import APPLICATIONS

DRAIN_SECONDS = 420.0
Say = Callable[[str], None]


@dataclass
class Faults:
    """What has been done to the engine so far; `at` holds the moments recovery is timed from."""

    planned: int
    done: int = 0
    at: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, at: float | None = None) -> None:
        """One more fault, healed or struck now."""
        self.at.append(time.monotonic() if at is None else at)
        self.done += 1

    def progress(self) -> float:
        """From 0 to 1."""
        return min(1.0, self.done / max(1, self.planned))


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


@dataclass
class Result:
    """One row of the closing table."""

    name: str
    faults: int
    verdict: Verdict
    recoveries: list[float]
    growth_mb: float
    seconds: float
    notes: list[str]

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or mismatched."""
        return self.verdict.clean


def engine_settings(bootstrap: str, folder: Path, name: str, batch_records: int) -> Settings:
    """Settings of one engine with a group and a store of its own."""
    return load_settings(
        bootstrap=bootstrap,
        state_dir=folder / "state",
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
    client.commit(offsets=places, asynchronous=False)
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
    monitor = Monitor(bootstrap)
    engine = Engine(settings, folder / "logs", plan.workers)
    engine.module, engine.extra = plan.module or engine.module, plan.extra or {}
    faults = Faults(plan.faults)
    pacer = Pacer(workload.shape.applications, plan.seconds, faults.progress)
    publisher = Publisher(bootstrap, workload.records(), None if plan.preload else pacer)
    updates = Updates(
        bootstrap, workload, Pacer(workload.shape.whitelist_updates, plan.seconds, faults.progress)
    )
    try:
        if plan.preload:
            say("filling the backlog")
            publisher.start()
            publisher.finish(900)
        engine.start()
        if not plan.preload:
            publisher.start()
        updates.start()
        say("faults")
        plan.nemesis(Stage(engine, monitor, faults, Random(seed), folder))
        faults.planned = faults.done
        say("draining")
        publisher.finish(600)
        updates.finish(120)
        drain(settings, monitor, faults)
        growth_mb = engine.growth_mb
    finally:
        engine.stop()
        monitor.close()
    say("reading every topic")
    verdict = judge(
        read_all(bootstrap, settings.group_id, monitor.since),
        acknowledged=publisher.acknowledged,
        home_of=home_of,
        limits_fen=workload.limits_fen,
    )
    faults.notes += [f"{name} ended by itself with {code}" for name, code in engine.ended]
    return Result(
        plan.name,
        faults.done,
        verdict,
        monitor.recoveries(faults.at),
        growth_mb,
        time.monotonic() - began,
        faults.notes,
    )


def drain(settings: Settings, monitor: Monitor, faults: Faults) -> None:
    """Wait until the group has committed past the last application; a note when it does not."""
    deadline = time.monotonic() + DRAIN_SECONDS
    quiet = 0
    while quiet < 3:
        if time.monotonic() > deadline:
            faults.notes.append(f"not drained within {DRAIN_SECONDS:.0f} s")
            return
        time.sleep(0.3)
        with suppress(KafkaException):
            offsets = committed(settings.bootstrap, settings.group_id)
            past = all(offsets[p] > last for p, last in monitor.last.items() if last >= 0)
            quiet = quiet + 1 if past and monitor.silent_seconds > 0.3 else 0
