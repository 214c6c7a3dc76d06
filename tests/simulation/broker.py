"""The broker as a whole, and the network to it: requests and answers lost, late or twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from builders import NOW_MS
from simulation.faults import Disconnected, Fault, NoAnswer, Weather
from simulation.group import Group, Token
from simulation.kernel import Kernel, Process, Promise
from simulation.log import Log
from simulation.transactions import Coordinator

from stream.domain.topics import AUDIT, CHECKPOINTS, DEAD_LETTERS, DECISIONS, INPUTS
from stream.ports import Output, Place, Positions

OFFSETS = Place("__consumer_offsets", 0)
REQUEST_MS = 800
"""How long a client waits for one answer."""
_LATE_MS = 5_000
_REPEATABLE = {"produce", "add", "join", "beat"}
"""What a client may have sent twice over two connections without harm to the protocol."""


class Broker:
    """Logs, groups and transactions; never loses what it has answered for."""

    def __init__(self, kernel: Kernel, weather: Weather, partitions: int) -> None:
        self.kernel, self.weather, self.partitions = kernel, weather, partitions
        topics = (*INPUTS, DECISIONS, AUDIT, CHECKPOINTS, DEAD_LETTERS)
        self.logs = {Place(t, p): Log() for t in topics for p in range(partitions)}
        self.group = Group(kernel, partitions)
        self.transactions = Coordinator(kernel, weather, self._mark, self._witness)
        self.torn: list[str] = []
        self.refusing: str | None = None
        self.up, self._life = True, 0
        self._news = Promise()

    def call(self, process: Process, kind: str, handle: Callable[[], Any]) -> Any:
        """Ask and wait: the answer, a Fault, or NoAnswer when nothing came in time."""
        answer = Promise()
        self.send(process, kind, handle, answer)
        if not process.wait(answer, REQUEST_MS):
            self.kernel.count(f"no answer: {kind}")
            raise NoAnswer(kind)
        return answer.result()

    def publish(self, output: Output, stamped_ms: int) -> None:
        """A channel's record, which is in the log at once."""
        self.logs[Place(output.topic, output.partition)].append([output], stamped_ms)
        self._tell()

    def news(self) -> Promise:
        """Known when an input has grown."""
        return self._news

    def produce(
        self, producer: int, epoch: int, batches: Sequence[tuple[Place, int, list[Output]]]
    ) -> None:
        """Append to all places of an open transaction, or to none."""
        for place, _, _ in batches:
            if place.topic == self.refusing:
                raise Fault("POLICY_VIOLATION", place.topic)
            self.transactions.check(producer, epoch, place)
        for place, sequence, outputs in batches:
            log = self.logs[place]
            log.append_open(producer, epoch, sequence, outputs, NOW_MS + self.kernel.now_ms)
        self.kernel.note("produce", producer, epoch, [(p, s, len(o)) for p, s, o in batches])

    def stage_offsets(self, producer: int, epoch: int, positions: Positions, token: Token) -> None:
        """TxnOffsetCommit."""
        self.transactions.check(producer, epoch, OFFSETS)
        self.group.stage(producer, epoch, positions, token)
        self.kernel.note("offsets", producer, epoch, sorted(positions.items()), token)

    def bounce(self, down_ms: int) -> None:
        """Go away and come back: what was on its way is lost, what was answered for is not."""
        self.up = False
        self._life += 1
        self.kernel.after(down_ms, self.rise)

    def rise(self) -> None:
        """Be there again."""
        self.up = True
        self._tell()

    def send(self, process: Process, kind: str, handle: Callable[[], Any], answer: Promise) -> None:
        """Ask without waiting; the answer may or may not be settled one day."""
        if process.trap is not None and process.trap(kind):
            process.trap = None
        if self._happens("lose_request") or process.cut_off or not process.alive:
            return
        late = "late_end" if kind == "end" else "late_request"
        if self._happens("disconnect"):
            self.kernel.after(self.kernel.between(1, 20), self._deliver, answer, None,
                              Disconnected(kind), self._life)  # fmt: skip
            answer = Promise()
            late = "stuck"
        self.kernel.after(self._travel_ms(late), self._arrive, process, kind, handle, answer,
                          self._life)  # fmt: skip
        if kind in _REPEATABLE and self._happens("twice"):
            self.kernel.after(self._travel_ms("late_request"), self._arrive, process, kind,
                              handle, Promise(), self._life)  # fmt: skip

    def _arrive(
        self, process: Process, kind: str, handle: Callable[[], Any], answer: Promise, life: int
    ) -> None:
        if not self.up or life != self._life:
            self.kernel.count("lost in a bounce")
            return
        try:
            value = handle()
        except Fault as fault:
            self.kernel.note(kind, process.name, fault.name)
            self._answer(process, answer, None, fault)
            return
        self.kernel.note(kind, process.name)
        if isinstance(value, Promise):
            value.watch(lambda: self._answer(process, answer, value.value, value.error))
        else:
            self._answer(process, answer, value, None)

    def _answer(
        self, process: Process, answer: Promise, value: object, fault: BaseException | None
    ) -> None:
        if self._happens("lose_answer") or process.cut_off:
            return
        self.kernel.after(self._travel_ms("late_answer"), self._deliver, answer, value, fault,
                          self._life)  # fmt: skip

    def _deliver(
        self, answer: Promise, value: object, fault: BaseException | None, life: int
    ) -> None:
        if life == self._life:
            answer.settle(value, fault)

    def _happens(self, kind: str) -> bool:
        happens = self.kernel.chance(self.weather.of[kind])
        if happens:
            self.kernel.count(f"network: {kind}")
        return happens

    def _travel_ms(self, kind: str) -> int:
        if kind == "stuck" or self._happens(kind):
            return self.kernel.between(50, _LATE_MS)
        return self.kernel.between(1, self.weather.travel_ms)

    def _mark(self, place: Place, producer: int, epoch: int, commit: bool) -> None:
        if place == OFFSETS:
            self.group.mark(producer, epoch, commit=commit)
        else:
            self.logs[place].mark(producer, epoch, commit=commit, now_ms=self.kernel.now_ms)
            if place.topic in INPUTS:
                self._tell()
        self.kernel.note("marker", place, producer, epoch, commit)

    def _witness(self, producer: int) -> None:
        """Every transaction here is a batch: outputs that commit without offsets are half of one.

        One of nothing at all is no harm: late copies of an add and of an end that were done
        before, on a connection that broke, open and end an empty one.
        """
        holds_outputs = any(log.holds_open(producer) for log in self.logs.values())
        if holds_outputs and not self.group.holds_offsets_of(producer):
            self.torn.append(f"at {self.kernel.now_ms} ms outputs committed without their offsets")

    def _tell(self) -> None:
        news, self._news = self._news, Promise()
        news.settle()
