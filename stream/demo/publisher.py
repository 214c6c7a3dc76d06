"""Sends a schedule to `loan.applications` as the channels would, at a rate or at full speed."""

from __future__ import annotations

import time
from collections import Counter
from threading import Event, Lock
from typing import Literal

from confluent_kafka import KafkaError, Message, Producer

from stream.codec.headers import Headers, cloud_event
from stream.config import Settings
from stream.demo.channels import SCHEDULE_RATE, Kind, Schedule, Sent
from stream.demo.synthetic import Row
from stream.demo.tables import flush_seconds, produce
from stream.domain.instant import from_ms
from stream.domain.topics import APPLICATIONS
from stream.edge.clients import producer
from stream.errors import BrokerError

POLL_EVERY = 200
WAIT_SECONDS_MAX = 0.2
"""Longest uninterrupted sleep between two records: acknowledgements are counted meanwhile."""

Rate = float | Literal["max"]


class Counts:
    """How many records were sent and acknowledged, by channel and kind; safe across threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sent: Counter[tuple[str, str]] = Counter()
        self._acknowledged = 0
        self._failed: list[str] = []

    def sent(self, record: Sent) -> None:
        """Count one record handed over."""
        with self._lock:
            self._sent[record.channel.value, record.kind.value] += 1

    def delivered(self, error: KafkaError | None, _message: Message) -> None:
        """Count one acknowledgement, or keep why there is none."""
        with self._lock:
            if error is None:
                self._acknowledged += 1
            else:
                self._failed.append(error.str())

    @property
    def acknowledged(self) -> int:
        """Records the broker has."""
        with self._lock:
            return self._acknowledged

    @property
    def failed(self) -> list[str]:
        """Why records were not acknowledged."""
        with self._lock:
            return list(self._failed)

    @property
    def total(self) -> int:
        """Records handed over."""
        with self._lock:
            return self._sent.total()

    def by_channel(self) -> dict[str, int]:
        """Records handed over, by channel."""
        return self._by(0)

    def by_kind(self) -> dict[str, int]:
        """Records handed over, by kind."""
        return self._by(1)

    def _by(self, part: int) -> dict[str, int]:
        found: Counter[str] = Counter()
        with self._lock:
            for names, count in self._sent.items():
                found[names[part]] += count
        return dict(found)


class Publisher:
    """One run of a schedule; `counts` may be read from any thread meanwhile."""

    def __init__(self, settings: Settings, schedule: Schedule, rate: Rate) -> None:
        if rate != "max" and rate <= 0:
            raise ValueError("a rate is a positive number of records a second, or max")
        self.counts = Counts()
        self._client: Producer = producer(settings)
        self._records = schedule.records
        self._pace = 0.0 if rate == "max" else SCHEDULE_RATE / rate / 1_000
        self._submitted_ms: dict[str, int] = {}

    def run(self, stop: Event) -> None:
        """Send everything, or until `stop` is set; BrokerError when a record was not accepted."""
        started = time.monotonic()
        for number, record in enumerate(self._records, start=1):
            self._wait(started + record.at_offset_ms * self._pace, stop)
            if stop.is_set():
                break
            self._send(record)
            if number % POLL_EVERY == 0:
                self._client.poll(0)
        left = self._client.flush(flush_seconds(stop))
        failed = self.counts.failed
        if failed or left:
            reason = failed[0] if failed else "no answer"
            raise BrokerError(
                f"{APPLICATIONS}: {len(failed) + left} records not acknowledged: {reason}",
                fix="check the broker with `tenminute doctor`, then run again",
            )

    def _wait(self, due: float, stop: Event) -> None:
        if self._pace == 0.0:
            return
        while (left := due - time.monotonic()) > 0 and not stop.is_set():
            self._client.poll(0)
            stop.wait(min(left, WAIT_SECONDS_MAX))

    def _send(self, record: Sent) -> None:
        """Stamp and hand over; a repeat or a conflict carries the instant of its first."""
        now_ms = time.time_ns() // 1_000_000
        submitted_ms = now_ms - record.lag_ms
        if record.kind is not Kind.BROKEN:
            submitted_ms = self._submitted_ms.setdefault(record.application_id, submitted_ms)
        row = Row(record.key, record.value(submitted_ms))
        headers = _headers(record, now_ms)
        produce(self._client, APPLICATIONS, row, headers, self.counts.delivered)
        self.counts.sent(record)


def _headers(record: Sent, now_ms: int) -> Headers:
    headers = cloud_event(
        "loan.application.v1",
        f"/channels/{record.channel.value}",
        record.application_id,
        from_ms(now_ms),
    )
    if record.has_version:
        return headers
    return [(name, value) for name, value in headers if name != "schema_version"]
