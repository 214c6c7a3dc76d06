"""What stands on the whitelist, read into the screening's books a step at a time.

An entry of an earlier owner may lie in a transaction that is still open. So a partition is read to
the end that a reader of uncommitted records is told, which waits that transaction out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from stream.config import Settings
from stream.domain.instant import to_ms
from stream.domain.topics import WHITELIST
from stream.domain.whitelist import WhitelistEntry
from stream.edge.clients import consumer, headers_of, unanswered
from stream.edge.offsets import bounds_of
from stream.edge.screen_book import ScreenBook
from stream.errors import BrokerError, ConfigError
from stream.limits import RESTORE_STILL_SECONDS_MAX
from stream.ports import Place
from stream.screening.batch import Held
from stream.screening.offers import fingerprint

STEP_RECORDS = 10_000
STEP_SECONDS = 0.1
CALL_SECONDS = 15.0
MADE_BY = "screening"
"""Header of an entry: the digest of the models and policies it came from."""
_entry = msgspec.json.Decoder(WhitelistEntry)


class Maker(NamedTuple):
    """What a screening makes offers by: the version it gives them, and a digest of the rest."""

    version: int
    digest: str


class ScreenList:
    """Brings books level with their partitions; never waits longer than one step."""

    def __init__(self, settings: Settings, group: str, maker: Maker) -> None:
        self._settings, self._maker = settings, maker
        self._reader: Consumer = consumer(
            settings, f"{group}-list", **{"enable.partition.eof": True}
        )
        self._ender = consumer(settings, f"{group}-list", **{"isolation.level": "read_uncommitted"})
        self._waiting: dict[int, tuple[ScreenBook, int]] = {}
        self._moved_at = 0.0

    @property
    def is_level(self) -> bool:
        """Whether every book that was begun holds all that stands."""
        return not self._waiting

    def begin(self, partition: int, book: ScreenBook) -> None:
        """Ask for the partition's end, and read on from where the book is."""
        try:
            _, end = bounds_of(self._ender, Place(WHITELIST, partition), CALL_SECONDS)
        except KafkaException as error:
            raise unanswered(self._settings, error) from None
        if book.offset > end:  # records were lost, so it may hold what was never committed
            book.forget()
        self._check(book.made_by)
        self._waiting[partition] = book, end
        self._assign()

    def drop(self, partition: int) -> None:
        """Stop reading a partition that is another's now."""
        if self._waiting.pop(partition, None) is not None:
            self._assign()

    def step(self) -> None:
        """Take what is there; BrokerError when for too long nothing has come."""
        if self.is_level:
            return
        messages = self._reader.consume(STEP_RECORDS, STEP_SECONDS)
        if messages:
            self._moved_at = time.monotonic()
        elif time.monotonic() - self._moved_at > RESTORE_STILL_SECONDS_MAX:
            raise BrokerError(
                f"{WHITELIST} {sorted(self._waiting)}: nothing to read for "
                f"{RESTORE_STILL_SECONDS_MAX:.0f} s and not at the end",
                fix="look for hanging transactions: kafka-transactions.sh find-hanging",
            )
        by_partition: dict[int, list[Message]] = {}
        for message in messages:
            by_partition.setdefault(message.partition() or 0, []).append(message)
        for partition, group in by_partition.items():
            if partition in self._waiting:
                self._take(partition, group)

    def close(self) -> None:
        """Close the clients."""
        self._reader.close()
        self._ender.close()

    def _assign(self) -> None:
        self._moved_at = time.monotonic()
        self._reader.assign(
            [TopicPartition(WHITELIST, p, book.offset) for p, (book, _) in self._waiting.items()]
        )

    def _take(self, partition: int, messages: Iterable[Message]) -> None:
        book, end = self._waiting[partition]
        reached, found = book.offset, list[tuple[bytes, Held | None]]()
        made_by = book.made_by
        for message in messages:
            error, offset = message.error(), message.offset() or 0
            if error is None:
                standing, made_by = self._standing(message, made_by)
                found.append((message.key() or b"", standing))
                reached = offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                reached = max(reached, offset)
            else:
                raise BrokerError(f"reading {WHITELIST}: {error.name()}", fix="tenminute doctor")
        is_level = reached >= end
        book.write(found, reached, made_by, level_at_ms=_now_ms() if is_level else None)
        if is_level:
            del self._waiting[partition]

    def _standing(
        self, message: Message, made_by: tuple[int, str]
    ) -> tuple[Held | None, tuple[int, str]]:
        value = message.value()
        if value is None:
            return None, made_by
        try:
            entry = _entry.decode(value)
            standing = Held(fingerprint(entry), to_ms(entry.valid_to))
        except ValueError:  # not an offer, so the next screening replaces it
            return Held(0, 0), made_by
        said = dict(headers_of(message)).get(MADE_BY)
        digest = said.decode(errors="replace") if isinstance(said, bytes) else ""
        if entry.list_version > made_by[0] or (entry.list_version == made_by[0] and digest):
            made_by = entry.list_version, digest
            self._check(made_by)
        return standing, made_by

    def _check(self, made_by: tuple[int, str]) -> None:
        """ConfigError where the list comes from a later version, or this one with other rules."""
        version, digest = made_by
        if version > self._maker.version:
            raise ConfigError(
                f"the whitelist is at version {version}, this screening at {self._maker.version}",
                fix="raise list_version in the screening policy, or stop this older screening",
            )
        if version == self._maker.version and digest not in ("", self._maker.digest):
            raise ConfigError(
                f"list version {version} was made by other models or another policy",
                fix="raise list_version in the screening policy, also to go back to older rules",
            )


def topic_id_of(settings: Settings, topic: str) -> str:
    """The id a topic was given when it was made; another one tells that it was made anew."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap, **settings.kafka})
    try:
        asked = admin.describe_topics(TopicCollection([topic]), request_timeout=CALL_SECONDS)
        return str(asked[topic].result().topic_id)
    except KafkaException as error:
        raise unanswered(settings, error) from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
