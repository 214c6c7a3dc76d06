"""The funnel as it stands: the newest row of every partition on `loan.funnel`, added up."""

from __future__ import annotations

import time
import uuid
from types import TracebackType
from typing import Self

import msgspec
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from stream.config import Settings
from stream.domain.funnel import FunnelRow
from stream.domain.topics import FUNNEL
from stream.edge.clients import consumer
from stream.errors import BrokerError
from stream.loop.funnel import Counts
from stream.loop.topics import ANSWER_SECONDS_MAX

_row = msgspec.json.Decoder(FunnelRow)
POLL_RECORDS_MAX = 500


class FunnelReader:
    """Follows `loan.funnel`; a context manager that owns its consumer."""

    def __init__(self, settings: Settings) -> None:
        """Start at the beginning of every partition; the topic is compacted and small."""
        self._rows: dict[bytes, FunnelRow] = {}
        self._consumer = consumer(settings, f"tenminute-funnel-reader-{uuid.uuid4().hex}")
        found = self._consumer.list_topics(FUNNEL, timeout=ANSWER_SECONDS_MAX).topics[FUNNEL]
        if not found.partitions:
            self.close()
            raise BrokerError(f"no topic {FUNNEL}", fix="run: tenminute topics apply")
        places = [TopicPartition(FUNNEL, number, OFFSET_BEGINNING) for number in found.partitions]
        self._consumer.assign(places)

    def totals(self, wait_seconds: float = 0.0) -> dict[tuple[str, str], Counts]:
        """Counts per channel and segment; reads what has come, for `wait_seconds` at least."""
        deadline = time.monotonic() + wait_seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            messages = self._consumer.consume(POLL_RECORDS_MAX, timeout=left)
            for message in messages:
                self._take(message.key(), message.value())
            if not messages and time.monotonic() >= deadline:
                return self._summed()

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def __enter__(self) -> Self:
        """Hand out the open reader."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _take(self, key: bytes | None, value: bytes | None) -> None:
        if key is None:
            return
        if value is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = _row.decode(value)

    def _summed(self) -> dict[tuple[str, str], Counts]:
        totals: dict[tuple[str, str], Counts] = {}
        for row in self._rows.values():
            where = (row.channel, row.segment)
            totals[where] = totals.get(where, Counts()).plus(counts_of(row))
        return totals


def counts_of(row: FunnelRow) -> Counts:
    """The counts of one published row."""
    return Counts(
        row.submitted_count,
        row.decided_count,
        row.approved_count,
        row.paid_count,
        row.paid_within_ten_minutes_count,
    )


def read_totals(settings: Settings, wait_seconds: float = 1.0) -> dict[tuple[str, str], Counts]:
    """The funnel's totals now, per channel and segment."""
    with FunnelReader(settings) as reader:
        return reader.totals(wait_seconds)
