"""The producer's side of a worker over the model, and the lane that works beside its loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from simulation.broker import OFFSETS, Broker
from simulation.faults import Disconnected, Fault, NoAnswer
from simulation.group import Token
from simulation.kernel import Process, Promise

from stream.errors import BrokerError, Remedy, TransactionError
from stream.ports import Identity, Outlet, Output, Pending, Place, Positions

STEP_MS = 2_500
"""How long one step of a transaction is tried before its outcome counts as unknown."""
_AGAIN = {"CONCURRENT_TRANSACTIONS"}
REMEDIES = {
    "PRODUCER_FENCED": Remedy.RECREATE,
    "INVALID_PRODUCER_EPOCH": Remedy.RECREATE,
    "FENCED_INSTANCE_ID": Remedy.LEAVE,
    "UNKNOWN_MEMBER_ID": Remedy.ABORT,
    "ILLEGAL_GENERATION": Remedy.ABORT,
    "POLICY_VIOLATION": Remedy.HOLD,
    "INVALID_TXN_STATE": Remedy.RECREATE,
    "OUT_OF_ORDER_SEQUENCE_NUMBER": Remedy.RECREATE,
}


class SimOutlet:
    """A transactional producer of one epoch."""

    def __init__(self, process: Process, broker: Broker, producer: int, epoch: int) -> None:
        self._process, self._broker = process, broker
        self._kernel = broker.kernel
        self.producer, self.epoch = producer, epoch
        self._sequences: dict[Place, int] = {}
        self._waiting: list[Output] = []
        self._added: dict[Place, None] = {}
        self._open = False
        self.lost_connection = False

    def begin(self) -> None:
        """Local; refused after a lost connection, as the real producer refuses it."""
        self._process.work()
        if self._open:
            raise AssertionError("begun twice")
        if self.lost_connection:
            raise self._failed(Remedy.RECREATE, "connection_lost")
        self._open, self._waiting, self._added = True, [], {}

    def send(self, outputs: Sequence[Output]) -> None:
        """Into the client's buffer; some runs out of it at once."""
        self._process.work()
        self._require_open()
        self._waiting.extend(outputs)
        if self._kernel.chance(0.5):
            self.flush()

    def commit(self, positions: Positions, identity: Identity) -> None:
        """Flush, add the offsets, end."""
        self._require_open()
        self.flush()
        if positions:
            self.stage(dict(positions), identity.token)
        if self._added:
            self.ask("end", lambda: self._end(commit=True))
        self._open = False
        self._kernel.count("commit")

    def abort(self) -> None:
        """End without effect; nothing to do when nothing is open."""
        self._process.work()
        if not self._open:
            return
        if self._added:
            self.ask("end", lambda: self._end(commit=False))
        self._open = False
        self._kernel.count("abort")

    def flush(self) -> None:
        """Send what is in the buffer."""
        waiting, self._waiting = self._waiting, []
        by_place: dict[Place, list[Output]] = {}
        for output in waiting:
            by_place.setdefault(Place(output.topic, output.partition), []).append(output)
        if not by_place:
            return
        self._add(list(by_place))
        batches = [(place, self._sequences.get(place, 0), each) for place, each in by_place.items()]
        self.ask("produce", lambda: self._broker.produce(self.producer, self.epoch, batches))
        for place, first, each in batches:
            self._sequences[place] = first + len(each)

    def ask(self, kind: str, handle: Callable[[], Any]) -> Any:
        """One step: again while the coordinator is busy; anything else is a TransactionError."""
        until_ms = self._kernel.now_ms + STEP_MS
        while True:
            try:
                return self._broker.call(self._process, kind, handle)
            except Disconnected:
                # The client sends it again by itself and tells nobody.
                self.lost_connection = True
            except NoAnswer:
                raise self._failed(Remedy.RECREATE, f"{kind} timed out") from None
            except Fault as fault:
                if fault.name not in _AGAIN:
                    remedy = REMEDIES[fault.name]
                    raise self._failed(remedy, fault.name, fault.topic) from None
            if self._kernel.now_ms > until_ms:
                raise self._failed(Remedy.RECREATE, f"{kind} busy for too long")
            self._process.pause(self._kernel.between(5, 40))

    def _add(self, places: list[Place]) -> None:
        new = [place for place in places if place not in self._added]
        if new:
            # Before the answer: a transaction that may have opened has to be ended.
            self._added.update(dict.fromkeys(new))
            coordinator = self._broker.transactions
            self.ask("add", lambda: coordinator.add(self.producer, self.epoch, new))

    def stage(self, positions: dict[Place, int], token: object) -> None:
        """Add the offsets to the transaction, under the identity."""
        if not isinstance(token, Token):
            raise TypeError("the identity is not one of this client's")
        self._add([OFFSETS])
        self.ask(
            "stage",
            lambda: self._broker.stage_offsets(self.producer, self.epoch, positions, token),
        )

    def _end(self, *, commit: bool) -> None:
        self._broker.transactions.end(self.producer, self.epoch, commit=commit)
        self._kernel.note("end", self.producer, self.epoch, commit)

    def _require_open(self) -> None:
        if not self._open:
            raise AssertionError("no transaction has begun")

    def _failed(self, remedy: Remedy, cause: str, topic: str | None = None) -> TransactionError:
        self._kernel.count(f"remedy: {remedy.value}")
        return TransactionError(remedy, cause, topic)


class SimOutlets:
    """Opens producers under the worker's two transactional ids."""

    def __init__(
        self,
        process: Process,
        broker: Broker,
        name: str,
        made: Callable[[Process, Broker, int, int], SimOutlet] = SimOutlet,
    ) -> None:
        self._process, self._broker, self._name, self._made = process, broker, name, made

    def open(self, slot: int) -> Outlet:
        """Fence whoever held the id, waiting for what it left open to be aborted."""
        transactional_id = f"{self._name}-{slot}"
        coordinator, kernel = self._broker.transactions, self._broker.kernel
        for _ in range(40):
            try:
                producer, epoch = self._broker.call(
                    self._process, "init", lambda: coordinator.init(transactional_id)
                )
            except (Fault, NoAnswer):
                self._process.pause(kernel.between(10, 300))
            else:
                kernel.count("producer opened")
                return self._made(self._process, self._broker, producer, epoch)
        raise BrokerError("no transactions", fix="check that the broker runs")


class _Work:
    """One piece of work in the lane."""

    def __init__(self, process: Process) -> None:
        self._process, self.promise = process, Promise()

    def wait(self) -> None:
        """Until it has ended; raises what it raised."""
        self._process.wait(self.promise)
        self.promise.result()


class SimLane:
    """Runs work in order, in a task of its own, beginning at a moment left to chance."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._last = Promise()
        self._last.settle()

    def submit(self, work: Callable[[], None]) -> Pending:
        """Line up behind what was submitted before."""
        before, pending = self._last, _Work(self._process)
        self._last = pending.promise

        def run() -> None:
            self._process.wait(before)
            self._process.work()
            try:
                work()
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                pending.promise.settle(error=error)
            else:
                pending.promise.settle()

        self._process.spawn(run)
        return pending
