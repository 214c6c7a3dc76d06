"""Crash points P0 to P13, at the first, a middle and the last batch, with one and two workers."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from chaos.engine import PLAIN, Engine
from chaos.faults import Faults
from chaos.monitor import Monitor
from chaos.oracle import Verdict, judge
from chaos.progress import Say
from chaos.reading import home_of, read_all
from chaos.replaying import replay_audit
from chaos.stage import (
    DRAIN_SECONDS,
    Result,
    drain,
    engine_settings,
    judge_ends,
    load_tables,
    pass_over_earlier,
)
from chaos.workload import Publisher, Sent, Shape, Workload

POINTS = [f"P{number}" for number in range(14)]
BATCHES = ["first", "middle", "last"]
SHAPE = Shape(180, 0, malformed=0.2, scattered=0.0, repeats=0.1)
BATCH_RECORDS = 10
CRASH_SECONDS = 30.0
MARK = "x-chaos-mark"
VICTIM = "worker-0"


def runs(count: int) -> list[tuple[int, str, str]]:
    """All 84 in order; fewer are spread evenly over them."""
    every = list(itertools.product((1, 2), BATCHES, POINTS))
    return [every[index * len(every) // count] for index in range(min(count, len(every)))]


def marked(workload: Workload, run: int) -> Iterator[Sent]:
    """The workload with the first, the middle and the last record of every partition marked."""
    records = list(workload.records())
    by_partition: dict[int, list[int]] = {}
    for index, record in enumerate(records):
        by_partition.setdefault(home_of(record.key), []).append(index)
    for places in by_partition.values():
        for batch, at in zip(BATCHES, (0, len(places) // 2, -1), strict=True):
            record = records[places[at]]
            mark = (MARK, f"{run}:{batch}".encode())
            records[places[at]] = record._replace(headers=[*record.headers, mark])
    yield from records


class Case(NamedTuple):
    """One of the 84, with its place in the sequence."""

    number: int
    workers: int
    batch: str
    point: str

    @property
    def name(self) -> str:
        """As findings call it."""
        return f"{self.point}/{self.batch}/{self.workers}"

    @property
    def part(self) -> tuple[str, dict[str, str]]:
        """The worker that will crash in this case, and in no other: its mark is the case's."""
        return "chaos.crashing_worker", {
            "CRASH_AT": self.point,
            "CRASH_BATCH": f"{self.number}:{self.batch}",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }


def play_crashes(
    name: str, bootstrap: str, folder: Path, say: Say, seed: int, count: int
) -> Result:
    """One engine through all cases; the oracle judges each by itself.

    The worker started after a crash is the one that will crash in the next case, so each case
    costs one start of a process.
    """
    began, faults, total = time.monotonic(), Faults(count), Verdict()
    cases = [Case(number, *run) for number, run in enumerate(runs(count))]
    settings = engine_settings(bootstrap, folder, f"crash{time.time_ns()}", BATCH_RECORDS)
    pass_over_earlier(settings)
    engine = Engine(settings, folder / "logs", cases[0].workers)
    engine.parts[VICTIM] = cases[0].part
    recoveries: list[float] = []
    engine.start()
    try:
        for case, following in zip(cases, [*cases[1:], None], strict=True):
            say(f"case {case.number + 1} of {count}: {case.name}, {time.monotonic() - began:.0f} s")
            if case.workers > len(engine.workers):
                engine.workers.append("worker-1")
                engine.launch("worker-1")
            engine.await_ready(engine.workers)
            engine.parts[VICTIM] = following.part if following else (PLAIN, {})
            workload = Workload(SHAPE._replace(seed=seed + case.number))
            load_tables(settings, workload)
            _play(case, workload, engine, faults, total, recoveries)
    finally:
        engine.stop()
    say("replaying the audit")
    judge_ends(engine.ended, faults, 0)
    return Result(
        name,
        faults,
        total,
        {"": recoveries},
        replay_audit(settings),
        engine.peak_mb,
        engine.growth_mb,
        time.monotonic() - began,
    )


def _play(
    case: Case,
    workload: Workload,
    engine: Engine,
    faults: Faults,
    total: Verdict,
    recoveries: list[float],
) -> None:
    """Publish until the crash, wait for its answer to be taken over, and judge the case."""
    settings = engine.settings
    monitor = Monitor(settings.bootstrap)
    try:
        publisher = Publisher(settings.bootstrap, marked(workload, case.number), None)
        at = _crash(engine, publisher)
        if at is None:
            faults.failures.append(f"{case.name}: did not crash")
        else:
            faults.count(at)
        drain(settings, monitor, faults, publisher.acknowledged, DRAIN_SECONDS)
        recoveries += monitor.recoveries([at], faults) if at else []
    finally:
        monitor.close()
    seen = read_all(settings.bootstrap, settings.group_id, monitor.since)
    verdict = judge(
        seen,
        acknowledged=publisher.acknowledged,
        home_of=home_of,
        limits_fen=workload.limits_fen,
    )
    _add(total, verdict, case.name)


def _crash(engine: Engine, publisher: Publisher) -> float | None:
    """Publish what the victim dies of; when it died, or None when it did not."""
    victim = engine.pid(VICTIM)
    engine.expect(victim)
    publisher.start()
    publisher.finish(60)
    deadline = time.monotonic() + CRASH_SECONDS
    while engine.pid(VICTIM) == victim:
        if time.monotonic() > deadline:
            # Nobody is to die of a later case's mark but the one that belongs to it.
            engine.kill(VICTIM)
            return None
        time.sleep(0.005)
    at = time.monotonic()
    return at if engine.codes[victim] == -signal.SIGKILL else None


def _add(total: Verdict, verdict: Verdict, where: str) -> None:
    """Sum up, each finding with the run it is of."""
    for name in ("records", "applications", "decisions", "approved", "letters", "repeats",
                 "forwarded", "aborted"):  # fmt: skip
        setattr(total, name, getattr(total, name) + getattr(verdict, name))
    for finding in verdict.findings:
        total.add(finding.kind, f"{where}: {finding.where}", finding.what)
