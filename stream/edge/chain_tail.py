"""Where each partition's audit chain stands: the last committed record of `decision.audit`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.config import Settings
from stream.domain.chain import GENESIS, ChainHead, head_of
from stream.domain.topics import AUDIT
from stream.edge.clients import consumer, headers_of
from stream.edge.offsets import bounds_of
from stream.errors import BrokerError
from stream.limits import RESTORE_STILL_SECONDS_MAX
from stream.ports import Place, Serve

_CALL_SECONDS = 15.0
_WINDOW_RECORDS = 64
"""First look back from the end; widened until a committed record lies in it."""


def last_heads(settings: Settings, partitions: Sequence[int], serve: Serve) -> dict[int, ChainHead]:
    """The chain's head per partition; BrokerError when a record says nothing of the chain."""
    reader = consumer(
        settings,
        f"{settings.group_id}-chain",
        **{"enable.partition.eof": True, "auto.offset.reset": "earliest"},
    )
    ender = consumer(
        settings, f"{settings.group_id}-chain", **{"isolation.level": "read_uncommitted"}
    )
    try:
        found: dict[int, ChainHead] = {}
        bounds = {p: bounds_of(ender, Place(AUDIT, p), _CALL_SECONDS) for p in partitions}
        window = _WINDOW_RECORDS
        while open_ := {p: b for p, b in bounds.items() if p not in found and b[0] < b[1]}:
            starts = {p: max(low, end - window) for p, (low, end) in open_.items()}
            ends = {p: end for p, (_, end) in open_.items()}
            heads = _last_between(reader, starts, ends, serve)
            found.update(heads)
            found.update(
                {p: GENESIS for p, at in starts.items() if at == open_[p][0] and p not in heads}
            )
            window *= 16
        return {partition: found.get(partition, GENESIS) for partition in partitions}
    except KafkaException as error:
        raise BrokerError(
            f"cannot read the end of {AUDIT}: {error.args[0].name()}", fix="tenminute doctor"
        ) from None
    finally:
        reader.close()
        ender.close()


def _last_between(
    reader: Consumer, starts: Mapping[int, int], ends: Mapping[int, int], serve: Serve
) -> dict[int, ChainHead]:
    """Heads of the last committed records between; none where all were aborted."""
    reader.assign([TopicPartition(AUDIT, partition, at) for partition, at in starts.items()])
    moved_at, waiting = time.monotonic(), set(starts)
    found: dict[int, ChainHead] = {}
    while waiting:
        if time.monotonic() - moved_at > RESTORE_STILL_SECONDS_MAX:
            raise BrokerError(f"ends of {AUDIT} not reached", fix="tenminute doctor")
        messages = reader.consume(_WINDOW_RECORDS, 0.02)
        serve(moved=bool(messages))
        moved_at = time.monotonic() if messages else moved_at
        for message in messages:
            error, partition, offset = message.error(), message.partition(), message.offset()
            if partition is None or offset is None:
                continue
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            if error is None:
                found[partition] = _head(message, partition, offset)
                offset += 1
            if offset >= ends[partition]:
                waiting.discard(partition)
    return found


def _head(message: Message, partition: int, offset: int) -> ChainHead:
    head = head_of(headers_of(message))
    if head is None:
        raise BrokerError(
            f"{AUDIT}/{partition}/{offset} is no link of a chain",
            fix="written by another program? see the runbook, 'audit chain'",
        )
    return head
