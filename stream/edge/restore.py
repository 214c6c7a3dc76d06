"""Bring the ledgers of partitions back before they are decided on.

The order matters and is the same in every case:
1 the committed offsets of the inputs, stable (no open transaction of an earlier
  owner on them): the worker has asked for them before it comes here;
2 the ends of the decision, event and audit partitions, uncommitted records included;
3 read committed records until those ends are passed, which waits out any
  transaction an earlier owner left open: decisions to their end, events to the
  consumed offset, from the snapshot where there is one, else from the window;
4 the head of the audit chain is that of the last committed audit record;
5 the worker reads its inputs from the offsets of step 1.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.codec.decision_v1 import decode_decision
from stream.codec.event_v1 import decode_event
from stream.codec.keys import partition_of
from stream.config import Settings
from stream.domain.decision import Decision
from stream.domain.ledger import Ledger
from stream.domain.topics import DECISIONS, EVENTS
from stream.edge.chain_tail import last_heads
from stream.edge.clients import consumer, record_of
from stream.edge.offsets import bounds_of, starts_of
from stream.edge.snapshots import Snapshots
from stream.errors import BrokerError, PoisonError
from stream.limits import CLOCK_SKEW_MS_MAX, LEDGER_WINDOW_MS, RESTORE_STILL_SECONDS_MAX
from stream.ports import Clock, Place, Positions, Record, Serve

_CALL_SECONDS = 15.0
_READ_RECORDS = 10_000
_CHECKED = 100
"""Decisions per partition whose key is checked against the partition count."""


class KafkaLedgers:
    """Ledgers from snapshot files and the tail of the topics."""

    def __init__(self, settings: Settings, snapshots: Snapshots, clock: Clock) -> None:
        self._settings, self._snapshots, self._clock = settings, snapshots, clock

    def restore(
        self, partitions: Sequence[int], consumed: Positions, serve: Serve
    ) -> dict[int, Ledger]:
        """Steps 2 to 4; BrokerError when nothing comes any more before an end is reached."""
        if not partitions:
            return {}
        ledgers, starts, ends = {}, {}, {}
        reader = consumer(
            self._settings,
            f"{self._settings.group_id}-restore",
            **{"enable.partition.eof": True, "auto.offset.reset": "earliest"},
        )
        ender = consumer(
            self._settings,
            f"{self._settings.group_id}-restore",
            **{"isolation.level": "read_uncommitted"},
        )
        try:
            for partition in partitions:
                serve(moved=True)
                ledger, covered = self._snapshots.load(partition) or (Ledger(), {})
                ledgers[partition] = ledger
                decisions, events = Place(DECISIONS, partition), Place(EVENTS, partition)
                starts[decisions] = covered.get(decisions, -1)
                # Events are few and some hold for ever: a consent withdrawn stays withdrawn.
                starts[events] = covered.get(events, 0)
                ends[decisions] = end_of(ender, decisions)
                ends[events] = consumed.get(events, 0)
            waiting = self._waiting(self._found_starts(reader, starts), ends, reader)
            self._read(_until(reader, waiting, serve), ledgers)
        except KafkaException as error:
            raise BrokerError(
                f"ledgers not restored: {error.args[0].name()}", fix="run: tenminute doctor"
            ) from None
        finally:
            reader.close()
            ender.close()
        for partition, head in last_heads(self._settings, partitions, serve).items():
            ledgers[partition].chain = head
            ledgers[partition].forget()
        return ledgers

    def _found_starts(self, reader: Consumer, starts: Mapping[Place, int]) -> dict[Place, int]:
        """Snapshot offsets as they are; for the others, where the window begins."""
        # What was submitted at the edge may have been decided before it, by another clock.
        since_ms = self._clock.now_ms() - LEDGER_WINDOW_MS - CLOCK_SKEW_MS_MAX
        unknown = [place for place, at in starts.items() if at < 0]
        return {**starts, **starts_of(reader, unknown, since_ms, _CALL_SECONDS)}

    def _waiting(
        self, starts: Mapping[Place, int], ends: Mapping[Place, int], reader: Consumer
    ) -> dict[Place, int]:
        """The ends that something lies before, for a reader that is set to where it begins."""
        waiting = {place: end for place, end in ends.items() if end > max(0, starts[place])}
        waiting = {place: end for place, end in waiting.items() if starts[place] >= 0}
        reader.assign([TopicPartition(*place, starts[place]) for place in waiting])
        return waiting

    def _read(self, found: Iterator[tuple[Place, Message]], ledgers: Mapping[int, Ledger]) -> None:
        """Every committed record from start to end, into its partition's ledger."""
        keys = _KeyCheck(self._settings.partitions)
        for place, message in found:
            record = record_of(message)
            if place.topic == DECISIONS:
                keys.look(record.key, place.partition)
                ledgers[place.partition].take(_decision_of(record))
            elif keys.at_home(record.key, place.partition):
                with suppress(PoisonError):  # a dead letter when it was first read, and still one
                    ledgers[place.partition].take(decode_event(record))


def _decision_of(record: Record) -> Decision:
    """The decision; BrokerError where somebody else has written to the topic."""
    try:
        return decode_decision(record.value or b"")
    except msgspec.DecodeError:
        raise BrokerError(
            f"{record.topic}/{record.partition}/{record.offset} is no decision",
            fix="written by another program? only engines may write there",
        ) from None


class _KeyCheck:
    """Refuses a ledger written under another partition count."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._looked: dict[int, int] = {}

    def at_home(self, key: bytes | None, partition: int) -> bool:
        """Whether this is the key's partition; a record elsewhere was sent on when first read."""
        return key is None or partition_of(key, self._partitions) == partition

    def look(self, key: bytes | None, partition: int) -> None:
        """BrokerError when a decision's key belongs to another partition."""
        looked = self._looked.get(partition, 0)
        if looked >= _CHECKED or key is None:
            return
        self._looked[partition] = looked + 1
        if not self.at_home(key, partition):
            raise BrokerError(
                f"{DECISIONS}/{partition} holds keys of another partition count than "
                f"{self._partitions}",
                fix="set `partitions` back; counts are fixed for life",
            )


def end_of(ender: Consumer, place: Place) -> int:
    """End of a partition, asked of a client that reads records of open transactions too."""
    try:
        return bounds_of(ender, place, _CALL_SECONDS)[1]
    except KafkaException as error:
        raise BrokerError(
            f"cannot read the end of {place.topic}: {error.args[0].name()}",
            fix="run: tenminute doctor",
        ) from None


def _until(
    reader: Consumer, waiting: dict[Place, int], serve: Serve
) -> Iterator[tuple[Place, Message]]:
    """Messages below the ends; returns when each end is passed, control records included."""
    moved_at = time.monotonic()
    while waiting:
        if time.monotonic() - moved_at > RESTORE_STILL_SECONDS_MAX:
            raise BrokerError(
                f"ledgers of {sorted(waiting)} not restored: nothing to read for "
                f"{RESTORE_STILL_SECONDS_MAX:.0f} s",
                fix="look for hanging transactions: kafka-transactions.sh find-hanging",
            )
        messages = reader.consume(_READ_RECORDS, 0.1)
        serve(moved=bool(messages))
        moved_at = time.monotonic() if messages else moved_at
        for message in messages:
            place = Place(message.topic() or "", message.partition() or 0)
            error, offset = message.error(), message.offset() or 0
            if error is None:
                reached = offset + 1
                if offset < waiting.get(place, 0):
                    yield place, message
            elif error.code() == KafkaError._PARTITION_EOF:
                reached = offset
            else:
                raise BrokerError(f"reading {place.topic}: {error.name()}", fix="tenminute doctor")
            if reached >= waiting.get(place, reached + 1):
                del waiting[place]
