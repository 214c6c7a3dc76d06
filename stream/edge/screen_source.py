"""The screening's side of Kafka: its group on the profiles, and its books of the whitelist."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from stream.config import Settings
from stream.domain.instant import to_ms
from stream.domain.topics import PROFILES, WHITELIST
from stream.domain.whitelist import WhitelistEntry
from stream.edge.clients import consumer, identity_of
from stream.edge.screen_book import ScreenBook
from stream.errors import BrokerError, ConfigError
from stream.ports import Identity, Place
from stream.screening.batch import Held
from stream.screening.offers import fingerprint

ANSWER_SECONDS = 30.0
CATCH_UP_SECONDS_MAX = 3_600.0
"""Longest a partition of 20 million entries may take to be read into an empty book."""
CATCH_UP_RECORDS = 10_000
_entry = msgspec.json.Decoder(WhitelistEntry)


class ScreenSource:
    """Profiles of the partitions that the group gives this process, from what is committed.

    On a new partition, in this order: the committed offset, which waits while an earlier owner's
    transaction is open; then the whitelist's end, which that owner can no longer move.
    """

    def __init__(self, settings: Settings, group: str, folder: Path, list_version: int) -> None:
        self._settings, self._folder, self._version = settings, folder, list_version
        self._reader = consumer(settings, f"{group}-list", **{"enable.partition.eof": True})
        self._client: Consumer = consumer(
            settings, group, **{"auto.offset.reset": "earliest", "enable.partition.eof": True}
        )
        self._cluster = self._check_topics()
        self.books: dict[int, ScreenBook] = {}
        self.ends: dict[int, int] = {}
        """End of each owned partition when it was taken over."""
        self.starts: dict[int, int] = {}
        self.at_end: set[int] = set()
        self._faults: list[BrokerError | ConfigError] = []
        self._client.subscribe(
            [PROFILES], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
        )

    def poll(self, count: int, seconds: float) -> list[Message]:
        """Messages of the owned partitions; the ends of partitions are noted on the way."""
        found = []
        for message in self._client.consume(count, seconds):
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
        return [message for message in found if message.partition() in self.books]

    @property
    def read_to_the_end(self) -> bool:
        """Whether every owned partition has been read to its end."""
        return bool(self.books) and self.at_end >= self.books.keys()

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
        self._reader.close()
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
        try:
            committed = client.committed([*places], timeout=ANSWER_SECONDS)
            for place in committed:
                if place.offset == OFFSET_INVALID:
                    place.offset = OFFSET_BEGINNING
                low, high = client.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
                self.starts[place.partition] = max(place.offset, low)
                self.ends[place.partition] = high
                self.books[place.partition] = self._book(place.partition)
            client.assign(committed)
        except KafkaException as error:
            self._faults.append(
                BrokerError(f"screening: {error.args[0].name()}", fix="start it again")
            )
        except (BrokerError, ConfigError) as fault:  # raised by the next poll, not in a callback
            self._faults.append(fault)

    def _revoked(self, _client: Consumer, places: Sequence[TopicPartition]) -> None:
        for place in places:
            book = self.books.pop(place.partition, None)
            self.at_end.discard(place.partition)
            if book is not None:
                book.close()

    def _book(self, partition: int) -> ScreenBook:
        book = ScreenBook(self._folder / str(partition), f"{self._cluster}/{WHITELIST}/{partition}")
        start, place = book.offset, Place(WHITELIST, partition)
        low, high = self._reader.get_watermark_offsets(
            TopicPartition(*place), timeout=ANSWER_SECONDS
        )
        if not low <= start <= high:
            start = low
        self._reader.assign([TopicPartition(*place, start)])
        deadline = time.monotonic() + CATCH_UP_SECONDS_MAX
        while time.monotonic() < deadline:
            messages = self._reader.consume(CATCH_UP_RECORDS, 0.5)
            ended = any(_is_end(message) for message in messages)
            records = [message for message in messages if message.error() is None]
            if records:
                book.write(
                    (self._standing(message) for message in records),
                    (records[-1].offset() or 0) + 1,
                )
            if ended:
                return book
        raise BrokerError(
            f"{WHITELIST} {partition} was not read to its end", fix="tenminute doctor"
        )

    def _standing(self, message: Message) -> tuple[bytes, Held | None]:
        key, value = message.key() or b"\0", message.value()
        if value is None:
            return key, None
        try:
            entry = _entry.decode(value)
            standing = Held(fingerprint(entry), to_ms(entry.valid_to))
        except ValueError:  # not an offer, so the next screening replaces it
            return key, Held(0, 0)
        if entry.list_version > self._version:
            raise ConfigError(
                f"the whitelist is at version {entry.list_version}, this screening at "
                f"{self._version}",
                fix="raise list_version in the screening policy, or stop this older screening",
            )
        return key, standing


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF
