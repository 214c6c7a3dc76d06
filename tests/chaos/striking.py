"""Where exactly a worker ends itself, and the journal that says what it had done by then.

A point is a place in one batch: the one that holds the record with the mark. What the batch
before or after does meanwhile is none of it. P9 and P11 lie between two requests of one call of
the client, so a proxy inside the worker's own process strikes there: P9 when the client, told that
its offsets may come, asks to commit them, and that has not gone on; P11 when the broker has
answered the end of the transaction, and the client has not been told.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from faults.proxy import FaultProxy
from faults.rules import Action
from faults.wire import Api, Request

from stream.domain.topics import AUDIT, DEAD_LETTERS, DECISIONS
from stream.ports import Output, Place, Positions, Record

MARKED = "x-chaos-mark"
POINTS = [f"P{number}" for number in range(14)]
SENDING = POINTS[3:9]
COMMITTED = frozenset(POINTS[11:])
"""The points at which the broker has been told the end of the transaction."""
WIRED = (Api.ADD_OFFSETS, Api.TXN_OFFSET_COMMIT, Api.END_TXN)
_STEPS = (
    ("P0", "polled"),
    ("P1", "identified"),
    ("P2", "begun"),
    ("P8", "sent"),
    ("P9", "asked ADD_OFFSETS"),
    ("P9", "answered ADD_OFFSETS"),
    ("P9", "asked TXN_OFFSET_COMMIT"),
    ("P10", "answered TXN_OFFSET_COMMIT"),
    ("P10", "offsets added"),
    ("P11", "asked END_TXN"),
    ("P11", "answered END_TXN"),
    ("P12", "committed"),
    ("P13", "applied"),
)
"""Every step of a batch in its order, and the first point at which it has been done."""


def expected_steps(point: str) -> list[str]:
    """What the journal of a worker that ended at this point holds, and nothing beyond."""
    at = POINTS.index(point)
    return [step for first, step in _STEPS if POINTS.index(first) <= at] + (
        [f"sent {point}"] if point in SENDING[:-1] else []
    )


def cut(point: str, topics: Sequence[str]) -> int | None:
    """Of a batch's outputs, by topic, how many are sent before the end at this point.

    None where the batch has no such place. P3 the first decision; P4 half of all; P5 the last
    decision; P6 the last dead letter; P7 the first decision's audit record; P8 all: the ledger
    knows answered ids by the decisions, so there is no record of its own to send.
    """
    decisions = [at for at, topic in enumerate(topics) if topic == DECISIONS]
    letters = [at for at, topic in enumerate(topics) if topic == DEAD_LETTERS]
    audits = [at for at, topic in enumerate(topics) if topic == AUDIT]
    places = {
        "P3": decisions[:1],
        "P4": [(len(topics) + 1) // 2 - 1] if topics else [],
        "P5": decisions[-1:],
        "P6": letters[-1:],
        "P7": [at for at in audits if decisions and at > decisions[0]][:1],
        "P8": [len(topics) - 1] if topics else [],
    }[point]
    return places[0] + 1 if places else None


class Trace(NamedTuple):
    """What the journal of a worker that ended at its point says."""

    place: Place | None
    """Where the marked record lies."""
    offset: int
    steps: list[str]
    """What its batch had done, in order, each once however often it was asked again."""

    @classmethod
    def read(cls, path: Path) -> Trace:
        """As far as it got: of a batch that was polled anew, the last time."""
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        begins = [at for at, line in enumerate(lines) if line.startswith("polled ")]
        if not begins:
            return cls(None, -1, lines)
        _, topic, partition, offset = lines[begins[-1]].split()
        steps = list(dict.fromkeys(["polled", *lines[begins[-1] + 1 :]]))
        return cls(Place(topic, int(partition)), int(offset), steps)


class Strike:
    """Armed by the batch with the marked record; `die` is SIGKILL to itself but in a test."""

    def __init__(self, environment: Mapping[str, str], die: Callable[[], None]) -> None:
        """`CRASH_AT` names the point, `CRASH_BATCH` the mark, `CRASH_JOURNAL` the journal."""
        self._at, self._mark = environment["CRASH_AT"], environment["CRASH_BATCH"].encode()
        self._die = die
        self._journal = os.open(
            environment["CRASH_JOURNAL"], os.O_WRONLY | os.O_CREAT | os.O_APPEND
        )
        self._marked: tuple[Place, int] | None = None
        self.polled = False
        """Whether the batch the loop has in hand is the one."""
        self.committing = False
        """Whether the commit under way is the one's."""
        self.committed = False
        """Whether the one has committed and is to be applied next."""

    def look(self, records: Sequence[Record]) -> None:
        """Arm when the marked record is among these; what follows them is another batch."""
        found = [r for r in records if (MARKED, self._mark) in r.headers]
        self.polled = bool(found)
        if found:
            first = found[0]
            self._marked = Place(first.topic, first.partition), first.offset
            self.write(f"polled {first.topic} {first.partition} {first.offset}")
            self.strike("P0")

    def reach(self, point: str, step: str) -> None:
        """Note the step of the batch in hand, and end here when this is the point."""
        if self.polled:
            self.write(step)
            self.strike(point)

    def cut(self, outputs: Sequence[Output]) -> int | None:
        """How many of the batch's outputs are sent before the end; None when it is not here."""
        if not self.polled or self._at not in SENDING:
            return None
        return cut(self._at, [output.topic for output in outputs])

    def sent(self, *, partly: bool) -> None:
        """The broker has what was to be sent of the batch; ends here when that is the point."""
        if self.polled:
            whole = not partly or self._at == "P8"
            self.write("sent" if whole else f"sent {self._at}")
            if partly:
                self.strike(self._at)

    def commits(self, positions: Positions) -> None:
        """A commit of these positions begins: note whether it is the one's."""
        self.committing = False
        if self._marked is not None:
            place, offset = self._marked
            self.committing = positions.get(place, -1) > offset

    def done(self, point: str, step: str) -> None:
        """Note a step of the commit under way, and end here when it is the one's and the point."""
        if self.committing:
            self.write(step)
            self.committed = step == "committed"
            self.strike(point)

    def applied(self) -> None:
        """A batch that has committed is in the ledger."""
        if self.committed:
            self.write("applied")
            self.strike("P13")
            self.committed = False

    def asked(self, api: int) -> None:
        """The client has asked this of the broker, and it has not gone on."""
        if self.committing and api in WIRED:
            self.write(f"asked {Api(api).name}")
            if api == Api.TXN_OFFSET_COMMIT:
                self.strike("P9")

    def answered(self, api: int) -> None:
        """The broker has answered this, and the client has not been told."""
        if self.committing and api in WIRED:
            self.write(f"answered {Api(api).name}")
            if api == Api.END_TXN:
                self.strike("P11")

    def write(self, line: str) -> None:
        """One line of the journal, in the file before anything else happens."""
        os.write(self._journal, f"{line}\n".encode())

    def strike(self, point: str) -> None:
        """End when this is the point."""
        if point == self._at:
            self._die()


class StrikingProxy(FaultProxy):
    """The worker's own way to the broker, which tells of every request and answer on it."""

    def __init__(self, port: int, broker: str, strike: Strike) -> None:
        super().__init__(port, broker)
        self._strike = strike

    def decide(self, request: Request) -> Action:
        """Nothing but telling."""
        self._strike.asked(request.api)
        return super().decide(request)

    def answered(self, request: Request) -> None:
        """Nothing but telling."""
        self._strike.answered(request.api)


def end_at_once() -> None:
    """As `kill -9`: nothing is flushed, nobody is told."""
    os.kill(os.getpid(), signal.SIGKILL)
