"""Crash points P0 to P13, at the first, a middle and the last batch, with one and two workers."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from chaos.engine import Engine
from chaos.monitor import Monitor
from chaos.oracle import Verdict, judge
from chaos.reading import home_of, read_all
from chaos.stage import Faults, Result, Say, drain, engine_settings, load_tables, pass_over_earlier
from chaos.workload import Publisher, Sent, Shape, Workload

POINTS = [f"P{number}" for number in range(14)]
BATCHES = ["first", "middle", "last"]
APPLICATIONS_A_RUN = 180
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


def play_crashes(
    name: str, bootstrap: str, folder: Path, say: Say, seed: int, count: int
) -> Result:
    """One engine through all runs; the oracle judges each by itself."""
    began, faults, total = time.monotonic(), Faults(count), Verdict()
    shape = Shape(APPLICATIONS_A_RUN, seed, malformed=0.2, scattered=0.0, repeats=0.1)
    settings = engine_settings(bootstrap, folder, f"crash{time.time_ns()}", BATCH_RECORDS)
    pass_over_earlier(settings)
    engine = Engine(settings, folder / "logs", 1)
    recoveries: list[float] = []
    engine.start()
    try:
        for number, (workers, batch, point) in enumerate(runs(count)):
            say(f"{point} {batch} batch, {workers} worker{'s' * (workers - 1)}")
            if workers == 2 and "worker-1" not in engine.workers:
                engine.workers.append("worker-1")
                engine.launch("worker-1")
                engine.await_ready(["worker-1"])
            workload = Workload(shape._replace(seed=seed + number))
            load_tables(settings, workload)
            monitor = Monitor(bootstrap)
            try:
                at = _crash(engine, workload, (number, batch, point), bootstrap)
                if at is None:
                    total.add("mismatched", f"{point}/{batch}/{workers}", "did not crash")
                else:
                    faults.count(at)
                drain(settings, monitor, faults)
                recoveries += monitor.recoveries([at]) if at else []
            finally:
                monitor.close()
            seen = read_all(bootstrap, settings.group_id, monitor.since)
            acknowledged = sum(each.origin is None for each in seen.given)
            verdict = judge(
                seen, acknowledged=acknowledged, home_of=home_of, limits_fen=workload.limits_fen
            )
            _add(total, verdict, f"{point}/{batch}/{workers}")
    finally:
        engine.stop()
    faults.notes += [f"{who} ended by itself with {code}" for who, code in engine.ended]
    seconds = time.monotonic() - began
    return Result(name, faults.done, total, recoveries, engine.growth_mb, seconds, faults.notes)


def _crash(
    engine: Engine, workload: Workload, run: tuple[int, str, str], bootstrap: str
) -> float | None:
    """Put the crashing worker in the place of the first, publish, and wait for its end."""
    number, batch, point = run
    environment = {
        "CRASH_AT": point,
        "CRASH_BATCH": f"{number}:{batch}",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    engine.leave(VICTIM)
    engine.launch(VICTIM, module="chaos.crashing_worker", extra=environment)
    engine.await_ready([VICTIM])
    victim = engine.pid(VICTIM)
    engine.expect(victim)
    publisher = Publisher(bootstrap, marked(workload, number), None)
    publisher.start()
    publisher.finish(60)
    deadline = time.monotonic() + CRASH_SECONDS
    while engine.pid(VICTIM) == victim:
        if time.monotonic() > deadline:
            return None
        time.sleep(0.005)
    at = time.monotonic()
    return at if engine.codes[victim] == -signal.SIGKILL else None


def _add(total: Verdict, verdict: Verdict, where: str) -> None:
    """Sum up, each finding with the run it is of."""
    for name in ("records", "applications", "decisions", "letters", "repeats", "forwarded",
                 "aborted"):  # fmt: skip
        setattr(total, name, getattr(total, name) + getattr(verdict, name))
    for finding in verdict.findings:
        total.add(finding.kind, f"{where}: {finding.where}", finding.what)
