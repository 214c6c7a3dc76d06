"""Where a worker's ledgers come back from: snapshot and tail of decisions and events, the chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from simulation.broker import Broker
from simulation.faults import NoAnswer
from simulation.kernel import Process
from simulation.log import Entry
from simulation.snapshots import SimSnapshots

from stream.codec.decision_v1 import decode_decision
from stream.codec.event_v1 import decode_event
from stream.domain.application_event import ApplicationEvent
from stream.domain.chain import head_of
from stream.domain.ledger import Ledger
from stream.domain.topics import AUDIT, DECISIONS, EVENTS
from stream.errors import BrokerError, PoisonError
from stream.ports import Place, Positions, Record, Serve

decoded = lru_cache(maxsize=4096)(decode_decision)


class SimLedgers:
    """Reads what is committed, once nothing an earlier owner left open can add to it."""

    def __init__(self, process: Process, broker: Broker, snapshots: SimSnapshots) -> None:
        self._process, self._broker, self._snapshots = process, broker, snapshots

    def restore(
        self, partitions: Sequence[int], consumed: Positions, serve: Serve
    ) -> dict[int, Ledger]:
        """Snapshots, then ends, uncommitted records included; then wait until they are stable."""
        begun = {p: self._snapshots.load(p) or (Ledger(), {}) for p in partitions}
        for ledger, covered in begun.values():
            if covered and len(ledger):
                self._broker.kernel.count("ledger from a snapshot")
        logs = self._broker.logs
        places = [Place(topic, p) for topic in (DECISIONS, AUDIT) for p in partitions]
        ends = self._ask(lambda: {place: logs[place].end for place in places})
        for _ in range(200):
            serve(moved=True)
            if self._ask(lambda: all(logs[place].stable >= ends[place] for place in places)):
                for p, (ledger, covered) in begun.items():
                    self._ask(lambda p=p, of=(ledger, covered): self._read(p, consumed, *of))
                return {p: ledger for p, (ledger, _) in begun.items()}
            self._process.pause(self._broker.kernel.between(10, 200))
        raise BrokerError("ledgers not restored", fix="look for hanging transactions")

    def _ask(self, handle: Callable[[], Any]) -> Any:
        try:
            return self._broker.call(self._process, "read back", handle)
        except NoAnswer:
            raise BrokerError("no answer", fix="tenminute doctor") from None

    def _read(
        self, partition: int, consumed: Positions, ledger: Ledger, covered: Positions
    ) -> None:
        """What the snapshot does not cover; a fact taken in twice changes nothing."""
        logs = self._broker.logs
        decisions, events = Place(DECISIONS, partition), Place(EVENTS, partition)
        for offset, entry in logs[decisions].committed():
            if offset >= covered.get(decisions, 0):
                ledger.take(decoded(entry.output.value))
        for offset, entry in logs[events].committed():
            if covered.get(events, 0) <= offset < consumed[events]:
                event = _event(offset, entry)
                if event is not None:
                    ledger.take(event)
        audit = logs[Place(AUDIT, partition)].committed()
        head = head_of(audit[-1][1].output.headers) if audit else None
        if head is not None:
            ledger.chain = head
        ledger.forget()


def _event(offset: int, entry: Entry) -> ApplicationEvent | None:
    output = entry.output
    record = Record(output.topic, output.partition, offset, output.key, output.value,
                    output.headers, entry.timestamp_ms)  # fmt: skip
    try:
        return decode_event(record)
    except PoisonError:
        return None
