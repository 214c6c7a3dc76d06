"""Bring a partition's ledger back from `disbursement.decisions` before it is decided on.

The order matters and is the same in every case:
1 the committed offset of the application partition, stable (no open transaction
  of an earlier owner on it), so that nothing before it can still be in flight;
2 the end of the decision partition, uncommitted records included;
3 read committed decisions until that end is passed, which waits out any
  transaction an earlier owner left open;
4 start reading applications at the offset of step 1.
"""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream.codec.decision_v1 import decode_decision
from stream.config import Settings
from stream.domain.ledger import Ledger
from stream.domain.topics import APPLICATIONS, DECISIONS
from stream.edge.clients import consumer
from stream.errors import BrokerError
from stream.limits import RESTORE_SECONDS_MAX

_CALL_SECONDS = 15.0
_READ_RECORDS = 10_000


def committed_offsets(group: Consumer, partitions: list[int]) -> dict[int, int]:
    """Step 1: where to go on reading; the start of the partition when nothing was committed."""
    places = [TopicPartition(APPLICATIONS, partition) for partition in partitions]
    offsets = {}
    for place in group.committed(places, timeout=_CALL_SECONDS):
        if place.offset >= 0:
            offsets[place.partition] = place.offset
        else:
            low, _ = group.get_watermark_offsets(place, timeout=_CALL_SECONDS)
            offsets[place.partition] = low
    return offsets


def restore_ledgers(settings: Settings, partitions: list[int]) -> dict[int, Ledger]:
    """Steps 2 and 3; BrokerError when the end is not reached within the bound."""
    ledgers = {partition: Ledger() for partition in partitions}
    if not partitions:
        return ledgers
    ends = _ends(settings, partitions)
    reader = consumer(
        settings,
        f"{settings.group_id}-restore",
        **{"enable.partition.eof": True, "auto.offset.reset": "earliest"},
    )
    try:
        reader.assign([TopicPartition(DECISIONS, partition, 0) for partition in partitions])
        _read_to(reader, ledgers, {p: end for p, end in ends.items() if end > 0})
    finally:
        reader.close()
    return ledgers


def _ends(settings: Settings, partitions: list[int]) -> dict[int, int]:
    """Ends of the decision partitions, records of open transactions included."""
    reader = consumer(
        settings, f"{settings.group_id}-restore", **{"isolation.level": "read_uncommitted"}
    )
    try:
        return {
            partition: reader.get_watermark_offsets(
                TopicPartition(DECISIONS, partition), timeout=_CALL_SECONDS
            )[1]
            for partition in partitions
        }
    except KafkaException as error:
        raise BrokerError(
            f"cannot read the end of {DECISIONS}: {error.args[0].name()}",
            fix="run: tenminute doctor",
        ) from None
    finally:
        reader.close()


def _read_to(reader: Consumer, ledgers: dict[int, Ledger], waiting: dict[int, int]) -> None:
    deadline = time.monotonic() + RESTORE_SECONDS_MAX
    while waiting:
        if time.monotonic() > deadline:
            raise BrokerError(
                f"ledger of partitions {sorted(waiting)} not restored in {RESTORE_SECONDS_MAX} s",
                fix="look for hanging transactions on disbursement.decisions",
            )
        for message in reader.consume(_READ_RECORDS, 0.1):
            partition, offset = message.partition(), message.offset()
            if partition is None or offset is None:
                continue
            error = message.error()
            if error is None:
                ledgers[partition].restore(decode_decision(message.value() or b""))
                reached = offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                reached = offset
            else:
                raise BrokerError(f"reading {DECISIONS}: {error.name()}", fix="tenminute doctor")
            if reached >= waiting.get(partition, reached + 1):
                del waiting[partition]
