"""Crash points P0 to P13, at the first, a middle and the last batch, with one and two workers.

What the worker had done when it ended it wrote into a journal, and the group's offsets are read
before it is started again: a case that struck anywhere but at its place has failed.
"""

from __future__ import annotations

import itertools
import signal
import socket
import time
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import orjson
from chaos.engine import PLAIN, Engine
from chaos.faults import Faults
from chaos.membership import holders
from chaos.monitor import Monitor
from chaos.oracle import Verdict, judge
from chaos.progress import Say
from chaos.reading import committed, home_of, read_all
from chaos.replaying import replay_audit
from chaos.sides import Sides
from chaos.stage import (
    DRAIN_SECONDS,
    Result,
    drain,
    engine_settings,
    judge_ends,
    load_tables,
    pass_over_earlier,
    spare_asked_ends,
)
from chaos.striking import COMMITTED, MARKED, POINTS, Trace, expected_steps
from chaos.workload import MARK, Publisher, Sent, Shape, Workload

from stream.config import Settings

BATCHES = ["first", "middle", "last"]
SHAPE = Shape(180, 0, malformed=0.2, scattered=0.05, repeats=0.1)
BATCH_RECORDS = 10
CRASH_SECONDS = 30.0
SHOWN_SECONDS = 10.0
"""Within which what a transaction committed shows in the group's offsets."""
VICTIM = "worker-0"
_PORTS = range(20_000, 30_000)
"""Below those that connections are given: the victim's must be free whenever it starts again."""


class Wire(NamedTuple):
    """The broker as everyone reaches it, and the victim's own way: its port, and what is behind."""

    bootstrap: str
    port: int
    upstream: str


def reserved_port() -> int:
    """A port that nobody has, and that no connection will be given."""
    random = Random()
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def runs(count: int) -> list[tuple[int, str, str]]:
    """All 84 in order; fewer are spread evenly over them."""
    every = list(itertools.product((1, 2), BATCHES, POINTS))
    return [every[index * len(every) // count] for index in range(min(count, len(every)))]


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
    def mark(self) -> bytes:
        """What the record says whose batch this is about."""
        return f"{self.number}:{self.batch}".encode()

    def part(self, wire: Wire, folder: Path) -> tuple[str, dict[str, str]]:
        """The worker that will crash in this case, and in no other: its mark is the case's."""
        return "chaos.crashing_worker", {
            "CRASH_AT": self.point,
            "CRASH_BATCH": self.mark.decode(),
            "CRASH_JOURNAL": str(self.journal(folder)),
            "CRASH_UPSTREAM": wire.upstream,
            "TENMINUTE_BOOTSTRAP": f"127.0.0.1:{wire.port}",
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }

    def journal(self, folder: Path) -> Path:
        """Where the worker writes what it has done."""
        return folder / f"journal-{self.number}"


class Phases(NamedTuple):
    """The records of a case in three parts; the middle one has the marked record."""

    before: list[Sent]
    """All of this is decided before the rest is sent."""
    struck: list[Sent]
    after: list[Sent]


def phases(workload: Workload, case: Case, held: Collection[int]) -> Phases:
    """The workload with one record of the victim's partitions marked.

    The first batch begins with it, the last one ends with it, and of the middle one there is as
    much before as behind. It is one that becomes what the point needs: a dead letter for P6, else
    a decision, so never a repeat, never what is sent to a wrong partition.
    """
    records = list(workload.records())
    ids = [_id_of(record) for record in records]
    times = Counter(ids)

    def fits(record: Sent, application_id: str) -> bool:
        once = not application_id if case.point == "P6" else times[application_id] == 1
        at_home = bool(record.key) and not record.scattered and home_of(record.key) in held
        return once and at_home and bool(application_id) != (case.point == "P6")

    able = [at for at, record in enumerate(records) if fits(record, ids[at])]
    at = able[{"first": 0, "middle": len(able) // 2, "last": -1}[case.batch]]
    partition = home_of(records[at].key)
    marked = records[at]._replace(headers=[*records[at].headers, (MARKED, case.mark)])
    records[at] = marked
    if case.batch == "middle":
        return Phases([], records, [])
    beside = [
        number
        for number, record in enumerate(records)
        if number != at and not record.scattered and home_of(record.key) == partition
    ]
    chosen = {"first": beside[: BATCH_RECORDS - 1], "last": beside[1 - BATCH_RECORDS :]}[case.batch]
    part, rest = [records[number] for number in chosen], {*chosen, at}
    others = [record for number, record in enumerate(records) if number not in rest]
    if case.batch == "first":
        return Phases([], [marked, *part], others)
    return Phases(others, [*part, marked], [])


def _id_of(record: Sent) -> str:
    """The application's id; empty for a malformed record."""
    fault = dict(record.headers)[MARK].partition(b":")[2]
    return "" if fault else str(orjson.loads(record.value)["application_id"])


def misplaced(point: str, trace: Trace, offset: int) -> list[str]:
    """What says that a worker did not end at this point; the group's offset is of the mark's place.

    A transaction is whole, so where the offset is committed its decisions are, and only there.
    """
    found = []
    if trace.steps != expected_steps(point):
        found.append(f"struck elsewhere, after {', '.join(trace.steps) or 'nothing'}")
    if (offset > trace.offset) != (point in COMMITTED):
        what = "is" if offset > trace.offset else "is not"
        found.append(f"offset {trace.offset} {what} committed")
    return found


def play_crashes(name: str, wire: Wire, folder: Path, say: Say, seed: int, count: int) -> Result:
    """One engine through all cases; the oracle judges each by itself.

    The worker started after a crash is the one that will crash in the next case, so each case
    costs one start of a process.
    """
    began, faults, total = time.monotonic(), Faults(count), Verdict()
    cases = [Case(number, *run) for number, run in enumerate(runs(count))]
    settings = engine_settings(wire.bootstrap, folder, f"crash{time.time_ns()}", BATCH_RECORDS)
    pass_over_earlier(settings)
    engine = Engine(settings, folder / "logs", cases[0].workers)
    spare_asked_ends(engine, faults)
    engine.parts[VICTIM] = cases[0].part(wire, folder)
    recoveries: list[float] = []
    engine.start()
    try:
        for case, following in zip(cases, [*cases[1:], None], strict=True):
            say(f"case {case.number + 1} of {count}: {case.name}, {time.monotonic() - began:.0f} s")
            if case.workers > len(engine.workers):
                engine.workers.append("worker-1")
                engine.launch("worker-1")
            engine.await_ready(engine.workers)
            engine.parts[VICTIM] = following.part(wire, folder) if following else (PLAIN, {})
            workload = Workload(SHAPE._replace(seed=seed + case.number))
            load_tables(settings, workload)
            played = Played(case, workload, engine, faults, case.journal(folder))
            verdict, times = played.play()
            recoveries += times
            _add(total, verdict, case.name)
    finally:
        engine.stop()
    say("replaying the audit")
    judge_ends(engine, faults, 0)
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


class Played:
    """One case: publish until the crash, look where it was, wait until all is taken over."""

    def __init__(
        self, case: Case, workload: Workload, engine: Engine, faults: Faults, journal: Path
    ) -> None:
        self._case, self._workload, self._engine = case, workload, engine
        self._faults, self._journal = faults, journal
        self._settings = engine.settings
        self._acknowledged = 0

    def play(self) -> tuple[Verdict, list[float]]:
        """What the oracle finds, and how long the recovery took."""
        settings, faults = self._settings, self._faults
        monitor = Monitor(settings.bootstrap)
        sides = Sides(settings.bootstrap, settings.group_id, self._workload)
        try:
            sides.foretell()
            sides.start()
            parts = phases(self._workload, self._case, victims_partitions(settings))
            if parts.before:
                self._publish(parts.before)
                self._drain(monitor)
            at = self._crash(parts.struck)
            self._publish(parts.after)
            self._drain(monitor)
            # The last decisions, too, are answered, and what was answered is drained as well.
            sides.finish()
            self._drain(monitor)
            times = monitor.recoveries([at], faults) if at else []
        finally:
            monitor.close()
        seen = read_all(settings.bootstrap, settings.group_id, monitor.since)
        verdict = judge(
            seen,
            acknowledged=self._acknowledged,
            home_of=home_of,
            limits_fen=self._workload.limits_fen,
            said=sides.said,
        )
        return verdict, times

    def _drain(self, monitor: Monitor) -> None:
        drain(self._settings, monitor, self._faults, self._acknowledged, DRAIN_SECONDS)

    def _publish(self, records: Sequence[Sent]) -> None:
        publisher = Publisher(self._settings.bootstrap, iter(records), None)
        publisher.start()
        publisher.finish(60)
        self._acknowledged += publisher.acknowledged

    def _crash(self, records: Sequence[Sent]) -> float | None:
        """Publish what the victim dies of; when it died, or None when it did not."""
        engine, name = self._engine, self._case.name
        victim = engine.pid(VICTIM)
        engine.expect(victim)
        engine.rest(VICTIM)
        self._publish(records)
        deadline = time.monotonic() + CRASH_SECONDS
        while engine.pid(VICTIM) == victim and time.monotonic() < deadline:
            time.sleep(0.005)
        at = time.monotonic() if engine.pid(VICTIM) != victim else None
        if at is None:
            # Nobody is to die of a later case's mark but the one that belongs to it.
            engine.kill(VICTIM)
            self._faults.failures.append(f"{name}: did not crash")
        elif engine.codes[victim] != -signal.SIGKILL:
            self._faults.failures.append(f"{name}: ended by itself with {engine.codes[victim]}")
        else:
            wrong = self._looked_at()
            self._faults.failures += [f"{name}: {what}" for what in wrong]
            if not wrong:
                self._faults.count(at)
        engine.wake(VICTIM)
        return at

    def _looked_at(self) -> list[str]:
        """What the journal and the group's offsets have against this being the place."""
        trace, point = Trace.read(self._journal), self._case.point
        if trace.place is None:
            return ["the journal names no batch"]
        deadline = time.monotonic() + SHOWN_SECONDS
        while True:
            offsets = committed(
                self._settings.bootstrap, self._settings.group_id, topic=trace.place.topic
            )
            wrong = misplaced(point, trace, offsets[trace.place.partition])
            # The markers of a transaction that has ended take a moment to be written.
            if not wrong or point not in COMMITTED or time.monotonic() > deadline:
                return wrong
            time.sleep(0.05)


def victims_partitions(settings: Settings) -> set[int]:
    """What the victim holds, as the group says."""
    deadline = time.monotonic() + CRASH_SECONDS
    while True:
        found = holders(settings).get(f"{settings.group_id}-{settings.instance}-0")
        if found:
            return found
        assert time.monotonic() < deadline, "the victim holds no partition"
        time.sleep(0.1)


def _add(total: Verdict, verdict: Verdict, where: str) -> None:
    """Sum up, each finding with the run it is of."""
    for name in ("records", "applications", "decisions", "approved", "letters", "repeats",
                 "forwarded", "aborted"):  # fmt: skip
        setattr(total, name, getattr(total, name) + getattr(verdict, name))
    for finding in verdict.findings:
        total.add(finding.kind, f"{where}: {finding.where}", finding.what)
