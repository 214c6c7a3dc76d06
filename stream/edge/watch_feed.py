"""Audit records and outcomes for the watch, from where its book ends; the audit by time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from structlog.typing import FilteringBoundLogger

from stream.config import Settings
from stream.domain.topics import AUDIT, OUTCOMES
from stream.edge.clients import consumer, record_of
from stream.edge.watch_book import Next
from stream.errors import BrokerError
from stream.ports import Place, Record
from stream.watch.merge import Merge

_CALL_SECONDS, _RECORDS_A_POLL = 15.0, 1_000
_LASTING = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)
"""What no waiting mends."""


class WatchFeed:
    """Reads both topics without a group's offsets; those are in the book."""

    def __init__(self, settings: Settings, known: list[Next], log: FilteringBoundLogger) -> None:
        """Go on where the book ends, new partitions from their beginning."""
        self._log = log
        self._consumer = consumer(
            settings, f"{settings.group_id}-watch", **{"enable.partition.eof": True}
        )
        try:
            cluster = self._consumer.list_topics(timeout=_CALL_SECONDS)
            self.cluster_id = str(cluster.cluster_id)
            found = {}
            for topic in (AUDIT, OUTCOMES):
                if topic not in cluster.topics:
                    raise BrokerError(f"no topic {topic}", fix="run: tenminute topics apply")
                for number in cluster.topics[topic].partitions:
                    found[Place(topic, number)] = self._first(topic, number)
        except KafkaException as error:
            raise BrokerError(
                f"no answer from {settings.bootstrap}: {error.args[0].name()}",
                fix="check that the broker runs and `bootstrap` names it",
            ) from None
        found |= {Place(each.topic, each.partition): each.offset for each in known}
        self._next = found
        self._merge = Merge(place.partition for place in found if place.topic == AUDIT)
        self._behind = set(found)
        self._paused: set[int] = set()
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in found.items()])

    @property
    def caught_up(self) -> bool:
        """Whether all that was there at the start has been read, or more."""
        return not self._behind

    def offsets(self) -> list[Next]:
        """Where to go on, after what `read` has handed out."""
        return [Next(*place, offset) for place, offset in self._next.items()]

    def read(self, seconds: float) -> Iterator[Record]:
        """What has come within so long; BrokerError when records are gone that were not read.

        A broker that is away is waited for.
        """
        for message in self._consumer.consume(_RECORDS_A_POLL, seconds):
            error = message.error()
            if error is not None:
                self._note(error, Place(message.topic() or "", message.partition() or 0))
                continue
            record = record_of(message)
            if record.topic == AUDIT:
                self._merge.take(record)
            else:
                yield self._handed(record)
        for record in self._merge.ready():
            yield self._handed(record)
        self._balance()

    def pass_over(self, record: Record, error: Exception) -> None:
        """Say of a record that it cannot be read; it is never waited for."""
        self._log.warning(
            "record_passed_over", topic=record.topic, partition=record.partition,
            offset=record.offset, reason=type(error).__name__,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def _first(self, topic: str, partition: int) -> int:
        place = TopicPartition(topic, partition)
        return self._consumer.get_watermark_offsets(place, timeout=_CALL_SECONDS)[0]

    def _handed(self, record: Record) -> Record:
        self._next[Place(record.topic, record.partition)] = record.offset + 1
        return record

    def _note(self, error: KafkaError, place: Place) -> None:
        if error.code() == KafkaError._PARTITION_EOF:
            self._behind.discard(place)
            if place.topic == AUDIT:
                self._merge.ended(place.partition)
            return
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise BrokerError(
                f"{place.topic}/{place.partition}: what the watch was to read next is gone",
                fix="move the folder `watch` of state_dir away; it counts anew from what is left",
            )
        if error.fatal() or error.code() in _LASTING:
            raise BrokerError(f"reading {place.topic}: {error.name()}", fix="run: tenminute doctor")
        self._log.warning("watch_read_failed", topic=place.topic, error=error.name())

    def _balance(self) -> None:
        """Stop reading partitions that are far ahead of the others, go on with the rest."""
        full = self._merge.full()
        self._consumer.pause([TopicPartition(AUDIT, number) for number in full - self._paused])
        self._consumer.resume([TopicPartition(AUDIT, number) for number in self._paused - full])
        self._paused = full


class Ends(Protocol):
    """What knows whether it has read to the ends that there were when it began."""

    @property
    def caught_up(self) -> bool:
        """Whether it has."""
        ...


def read_to_ends(feed: Ends, seconds: float, read: Callable[[], None], otherwise: str) -> None:
    """Let `read` go on to the ends; BrokerError, whose fix names `otherwise`, when that is long."""
    deadline = time.monotonic() + seconds
    while not feed.caught_up:
        if time.monotonic() > deadline:
            raise BrokerError(
                f"the topics were not read to their ends in {seconds:.0f} s",
                fix=f"give more --seconds, or let {otherwise}",
            )
        read()
