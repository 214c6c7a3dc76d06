"""The consumer group's side of the broker: three co-partitioned topics, read as one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from stream.config import Settings
from stream.domain.topics import INPUTS
from stream.edge.clients import consumer, identity_of, record_of
from stream.edge.offsets import bounds_of, committed_of
from stream.edge.reading import Reading, kind_of
from stream.errors import BrokerError
from stream.limits import MAX_POLL_INTERVAL_MS, METADATA_REFRESH_MS
from stream.ports import Identity, Listener, Place, Positions, Record

CALL_SECONDS = 5.0
"""Longest a question about offsets may wait; it is asked again, so the group is served between."""


class KafkaInbox:
    """A static member of the engine's group."""

    def __init__(self, settings: Settings, worker_id: str, reading: Reading | None = None) -> None:
        """Prepare the client; `subscribe` joins. Errors of reading are told to `reading`."""
        self._reading = reading
        self._client: Consumer = consumer(
            settings,
            settings.group_id,
            **{
                "client.id": worker_id,
                "group.instance.id": worker_id,
                # Range deals out the same partition numbers of every topic to one member.
                "partition.assignment.strategy": "range",
                "max.poll.interval.ms": MAX_POLL_INTERVAL_MS,
                # A raised partition count is seen within this, and not only after five minutes.
                "topic.metadata.refresh.interval.ms": METADATA_REFRESH_MS,
                "error_cb": self._hear,
            },
        )
        # Questions go by a client of their own: the member's does not answer while it is being
        # given or deprived of partitions.
        self._new_asker = partial(consumer, settings, settings.group_id)
        self._asker: Consumer = self._new_asker()
        self._read: set[Place] = set()
        self._fatal: KafkaError | None = None

    def subscribe(self, listener: Listener) -> None:
        """Join the group; the listener is called from inside `poll` and `close`."""

        def assigned(client: Consumer, places: list[TopicPartition]) -> None:
            # Nothing is read before the listener says from where.
            client.assign([])
            listener.assigned(_whole_partitions(places))

        def revoked(client: Consumer, places: list[TopicPartition]) -> None:
            listener.revoked(sorted({place.partition for place in places}))
            self._leave(client)

        def lost(client: Consumer, places: list[TopicPartition]) -> None:
            listener.lost(sorted({place.partition for place in places}))
            self._leave(client)

        self._client.subscribe([*INPUTS], on_assign=assigned, on_revoke=revoked, on_lost=lost)

    def _leave(self, client: Consumer) -> None:
        self._read = set()
        client.unassign()

    def poll(self, limit: int, timeout_ms: int) -> list[Record]:
        """Up to `limit` records; BrokerError when reading cannot go on."""
        if self._fatal is not None:
            raise _dead("the inputs", self._fatal)
        found = []
        for message in self._client.consume(limit, timeout_ms / 1000):
            error = message.error()
            if error is None:
                found.append(record_of(message))
            else:
                self._complain(message, error)
        return found

    def _hear(self, error: KafkaError) -> None:
        """Called by the client; a fatal error leaves a client that is silent for ever."""
        if error.fatal() or error.code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID):
            self._fatal = error
        elif self._reading is not None and kind_of(error) == "unauthenticated":
            self._reading.hear("", 0, error)

    def _complain(self, message: Message, error: KafkaError) -> None:
        """BrokerError for what no further poll mends; the rest is told to `reading`."""
        place = Place(message.topic() or "", message.partition() or 0)
        lost_offset = error.code() in (
            KafkaError._AUTO_OFFSET_RESET,
            KafkaError.OFFSET_OUT_OF_RANGE,
        )
        dead = error.fatal() or error.code() in (KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID)
        if dead or (lost_offset and place in self._read):
            raise _dead(place.topic or "the inputs", error)
        if self._reading is not None and not lost_offset:
            self._reading.hear(place.topic, place.partition, error)

    def identity(self) -> Identity | None:
        """Member id and the client's proof; None when the group has let this member go."""
        return identity_of(self._client)

    def committed(self, places: Sequence[Place]) -> dict[Place, int | None]:
        """Stable committed offsets; BrokerError when the broker does not say."""
        try:
            return committed_of(self._asker, places, CALL_SECONDS)
        except KafkaException as error:
            self._ask_anew()
            raise _unanswered("committed offsets", error) from None

    def bounds(self, place: Place) -> tuple[int, int]:
        """First offset kept and the offset after the last record."""
        try:
            return bounds_of(self._asker, place, CALL_SECONDS)
        except KafkaException as error:
            self._ask_anew()
            raise _unanswered(f"offsets of {place.topic}", error) from None

    def _ask_anew(self) -> None:
        """Take a new client: one that once heard of a topic without its partitions believes it.

        It answers `_UNKNOWN_PARTITION` from memory for minutes after all brokers are back.
        """
        self._asker.close()
        self._asker = self._new_asker()

    def read_from(self, positions: Positions) -> None:
        """Assign exactly these places; what was fetched before is dropped."""
        places = [TopicPartition(*place, offset) for place, offset in positions.items()]
        self._client.assign(places)
        # A pause outlives an assignment of the same partition.
        self._client.resume(places)
        self._read = set(positions)

    def hold(self, partitions: Sequence[int], *, held: bool) -> None:
        """Pause or resume every topic of the partitions."""
        places = [TopicPartition(*p) for p in sorted(self._read) if p.partition in set(partitions)]
        (self._client.pause if held else self._client.resume)(places)

    def backlog(self) -> int:
        """Records not yet read, as of the last fetch of each place."""
        try:
            places = self._client.position([TopicPartition(*place) for place in self._read])
            left = 0
            for place in places:
                _, high = self._client.get_watermark_offsets(place, cached=True)
                left += max(0, high - place.offset) if place.offset >= 0 else 0
        except KafkaException as error:
            raise _unanswered("positions", error) from None
        return left

    def close(self) -> None:
        """Close the client; a static member keeps its place for the session time-out."""
        self._client.close()
        self._asker.close()


def _whole_partitions(places: Sequence[TopicPartition]) -> list[int]:
    """Partition numbers, each of which must come with all the topics."""
    topics: dict[int, set[str]] = {}
    for place in places:
        topics.setdefault(place.partition, set()).add(place.topic)
    torn = sorted(number for number, names in topics.items() if names != set(INPUTS))
    if torn:
        raise BrokerError(
            f"partitions {torn} came without all of {', '.join(INPUTS)}",
            fix="give these topics the same partition count: tenminute topics diff",
        )
    return sorted(topics)


def _dead(topic: str, error: KafkaError) -> BrokerError:
    """What no further poll mends; a restarted worker joins under the same name at once."""
    return BrokerError(
        f"reading {topic}: {error.name()}",
        fix="another process under this `instance`, or deleted records: tenminute doctor",
    )


def _unanswered(what: str, error: KafkaException) -> BrokerError:
    return BrokerError(f"no answer about {what}: {error.args[0].name()}", fix="tenminute doctor")
