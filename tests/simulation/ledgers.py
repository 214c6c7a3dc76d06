"""Where a worker's ledgers come back from: the committed decisions, events and audit chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from simulation.broker import Broker
from simulation.faults import NoAnswer
from simulation.kernel import Process
from simulation.log import Entry

from stream.codec.decision_v1 import decode_decision
from stream.codec.event_v1 import decode_event
from stream.domain.application_event import ApplicationEvent
from stream.domain.chain import head_of
from stream.domain.ledger import Ledger
from stream.domain.topics import AUDIT, DECISIONS, EVENTS
from stream.errors import BrokerError, PoisonError
from stream.ports import Place, Positions, Record

decoded = lru_cache(maxsize=4096)(decode_decision)


class SimLedgers:
    """Reads what is committed, once nothing an earlier owner left open can add to it."""

    def __init__(self, process: Process, broker: Broker) -> None:
        self._process, self._broker = process, broker

    def restore(self, partitions: Sequence[int], consumed: Positions) -> dict[int, Ledger]:
        """Ends first, uncommitted records included; then wait until they are stable."""
        logs = self._broker.logs
        places = [Place(topic, p) for topic in (DECISIONS, AUDIT) for p in partitions]
        ends = self._ask(lambda: {place: logs[place].end for place in places})
        for _ in range(200):
            if self._ask(lambda: all(logs[place].stable >= ends[place] for place in places)):
                return {p: self._ask(lambda p=p: self._read(p, consumed)) for p in partitions}
            self._process.pause(self._broker.kernel.between(10, 200))
        raise BrokerError("ledgers not restored", fix="look for hanging transactions")

    def _ask(self, handle: Callable[[], Any]) -> Any:
        try:
            return self._broker.call(self._process, "read back", handle)
        except NoAnswer:
            raise BrokerError("no answer", fix="tenminute doctor") from None

    def _read(self, partition: int, consumed: Positions) -> Ledger:
        ledger = Ledger()
        logs = self._broker.logs
        for _, entry in logs[Place(DECISIONS, partition)].committed():
            ledger.take(decoded(entry.output.value))
        place = Place(EVENTS, partition)
        for offset, entry in logs[place].committed():
            event = _event(offset, entry) if offset < consumed[place] else None
            if event is not None:
                ledger.take(event)
        audit = logs[Place(AUDIT, partition)].committed()
        head = head_of(audit[-1][1].output.headers) if audit else None
        if head is not None:
            ledger.chain = head
        return ledger


def _event(offset: int, entry: Entry) -> ApplicationEvent | None:
    output = entry.output
    record = Record(output.topic, output.partition, offset, output.key, output.value,
                    output.headers, entry.timestamp_ms)  # fmt: skip
    try:
        return decode_event(record)
    except PoisonError:
        return None
