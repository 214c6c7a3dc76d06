"""Watches the outcomes topic while the series is played, and notes when each record came."""

from __future__ import annotations

import time
from collections.abc import Collection
from threading import Condition, Event, Thread
from types import TracebackType
from typing import NamedTuple, Self

import orjson
from confluent_kafka import Consumer, Message, TopicPartition

from stream.config import Settings
from stream.edge.clients import consumer, headers_of

ANSWER_SECONDS_MAX = 10.0
POLL_SECONDS = 0.1


class Seen(NamedTuple):
    """One record of the outcomes topic; `at` is this process's monotonic clock."""

    partition: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, str | bytes | None], ...]
    at: float


class Watcher:
    """Reads everything published from now on; a context manager."""

    def __init__(self, settings: Settings, topic: str, partitions: int) -> None:
        """Start at the end of every partition of `topic`."""
        # An end that moved under us by truncation is none of this test's doing: go on from there.
        self._consumer: Consumer = consumer(
            settings, "tenminute-conform", **{"auto.offset.reset": "latest"}
        )
        places = [TopicPartition(topic, number) for number in range(partitions)]
        for place in places:
            place.offset = self._consumer.get_watermark_offsets(place, ANSWER_SECONDS_MAX)[1]
        self._consumer.assign(places)
        self._changed = Condition()
        self._seen: list[Seen] = []
        self._ids: set[str] = set()
        self._stop = Event()
        self._thread = Thread(target=self._read, name="outcomes", daemon=True)

    def __enter__(self) -> Self:
        """Begin to read."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the reading."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def seen(self) -> list[Seen]:
        """Everything so far, in the order of arrival."""
        with self._changed:
            return list(self._seen)

    def paid(self) -> set[str]:
        """Ids of the decisions of which anything was announced so far."""
        with self._changed:
            return set(self._ids)

    def wait(self, wanted: Collection[str], idle_seconds: float, *, every: bool = True) -> bool:
        """Wait until every (or any) wanted id was announced, or nothing came for so long."""
        with self._changed:
            while True:
                there = [each in self._ids for each in wanted]
                if all(there) if every else any(there):
                    return True
                count, deadline = len(self._seen), time.monotonic() + idle_seconds
                while count == len(self._seen):
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return False
                    self._changed.wait(left)

    def _read(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(POLL_SECONDS)
            if message is not None and message.error() is None:
                self._note(message)

    def _note(self, message: Message) -> None:
        seen = Seen(
            message.partition() or 0,
            message.key(),
            message.value() or b"",
            tuple(headers_of(message)),
            time.monotonic(),
        )
        with self._changed:
            self._seen.append(seen)
            self._ids.add(decision_named(seen.value))
            self._changed.notify_all()


def decision_named(value: bytes) -> str:
    """The decision id in an outcome, sound or not; empty when there is none."""
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return ""
    return str(found.get("decision_id", "")) if isinstance(found, dict) else ""
