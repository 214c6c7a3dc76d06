"""The screening's side of Kafka: its group on the profiles, and its books of the whitelist."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from stream.config import Settings
from stream.domain.topics import PROFILES, WHITELIST
from stream.edge.clients import consumer, identity_of, unanswered
from stream.edge.offsets import bounds_of, committed_of
from stream.edge.screen_book import ScreenBook
from stream.edge.screen_list import Maker, ScreenList, topic_id_of
from stream.errors import BrokerError, FatalError
from stream.ports import Identity, Place

ANSWER_SECONDS = 30.0


class ScreenSource:
    """Profiles of the partitions that the group gives this process, from what is committed.

    On a new partition, in this order: the committed offset, which waits while an earlier owner's
    transaction is open on it; then the whitelist's end, which that owner can no longer move; then
    the whitelist up to there, between polls, so that the group keeps this process; then profiles.
    """

    def __init__(
        self, settings: Settings, group: str, folder: Path, maker: Maker, retention_ms: int
    ) -> None:
        """`retention_ms` is how long the whitelist keeps tombstones."""
        self._settings, self._folder, self._retention_ms = settings, folder, retention_ms
        self._list = ScreenList(settings, group, maker)
        self._client: Consumer = consumer(
            settings, group, **{"auto.offset.reset": "earliest", "enable.partition.eof": True}
        )
        self._topic = f"{self._check_topics()}/{topic_id_of(settings, WHITELIST)}"
        self.books: dict[int, ScreenBook] = {}
        self.ends: dict[int, int] = {}
        """End of each owned partition when it was taken over."""
        self.starts: dict[int, int] = {}
        self.at_end: set[int] = set()
        self._reading = False
        self._faults: list[FatalError] = []
        self._client.subscribe(
            [PROFILES], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    def poll(self, count: int, seconds: float) -> list[Message]:
        """Messages of the owned partitions; none while a book is not level with its list."""
        found = []
        for message in self._client.consume(count, seconds if self._list.is_level else 0.0):
            error, partition = message.error(), message.partition()
            if error is None:
                found.append(message)
                self.at_end.discard(partition or 0)
            elif error.code() == KafkaError._PARTITION_EOF:
                self.at_end.add(partition or 0)
            elif error.fatal():
                raise BrokerError(f"screening: {error.name()}", fix="see the broker's log")
        if self._faults:
            raise self._faults[0]
        self._list.step()
        if self._list.is_level and self.books and not self._reading:
            self._read()
        return [message for message in found if message.partition() in self.books]

    def _read(self) -> None:
        places = [TopicPartition(PROFILES, p, self.starts[p]) for p in self.books]
        self._client.assign(places)
        self._reading = True

    @property
    def read_to_the_end(self) -> bool:
        """Whether every owned partition has been read to its end."""
        return self._reading and bool(self.books) and self.at_end >= self.books.keys()

    def identity(self) -> Identity | None:
        """The place in the group to commit under; None when the group has let this member go."""
        return identity_of(self._client)

    def restore(self) -> None:
        """Go back to what has been committed, books included."""
        owned = [TopicPartition(PROFILES, partition) for partition in self.books]
        self._revoked(self._client, owned)
        self._assigned(self._client, owned)

    def close(self) -> None:
        """Leave the group."""
        self._client.close()
        self._list.close()
        for book in self.books.values():
            book.close()

    def _check_topics(self) -> str:
        try:
            found = self._client.list_topics(timeout=ANSWER_SECONDS)
        except KafkaException as error:
            raise BrokerError(
                f"no Kafka broker answers: {error.args[0].name()}", fix="tenminute doctor"
            ) from None
        counts = [
            len(found.topics[topic].partitions) if topic in found.topics else 0
            for topic in (PROFILES, WHITELIST)
        ]
        if 0 in counts or counts[0] != counts[1]:
            raise BrokerError(
                f"{PROFILES} has {counts[0]} partitions and {WHITELIST} {counts[1]}",
                fix="run: tenminute topics apply; both must have the same",
            )
        return str(found.cluster_id)

    def _assigned(self, client: Consumer, places: Sequence[TopicPartition]) -> None:
        client.assign([])  # nothing is read before every book is level
        self._reading = False
        now_ms = time.time_ns() // 1_000_000
        try:
            asked = [Place(PROFILES, place.partition) for place in places]
            for place, offset in committed_of(client, asked, ANSWER_SECONDS).items():
                low, high = bounds_of(client, place, ANSWER_SECONDS)
                self.starts[place.partition] = max(offset or 0, low)
                self.ends[place.partition] = high
                book = ScreenBook(
                    self._folder / str(place.partition),
                    f"{self._topic}/{place.partition}",
                    now_ms - self._retention_ms,
                    now_ms,
                )
                self.books[place.partition] = book
                self._list.begin(place.partition, book)
        except KafkaException as error:
            self._faults.append(unanswered(self._settings, error))
        except FatalError as fault:  # raised by the next poll, not in a callback
            self._faults.append(fault)

    def _revoked(self, client: Consumer, places: Sequence[TopicPartition]) -> None:
        for place in places:
            self._list.drop(place.partition)
            book = self.books.pop(place.partition, None)
            self.at_end.discard(place.partition)
            if book is not None:
                book.close()
        client.unassign()
