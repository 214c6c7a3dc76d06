"""Where each partition's audit chain stands: the last committed record of `decision.audit`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream.config import Settings
from stream.domain.chain import GENESIS, ChainHead, head_of
from stream.domain.topics import AUDIT
from stream.edge.clients import consumer, headers_of
from stream.errors import BrokerError
from stream.limits import RESTORE_SECONDS_MAX

_CALL_SECONDS = 15.0
_WINDOW_RECORDS = 64
"""First look back from the end; doubled until a committed record lies in it."""


def last_heads(settings: Settings, partitions: Sequence[int]) -> dict[int, ChainHead]:
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
        return {partition: _last_head(reader, ender, partition) for partition in partitions}
    except KafkaException as error:
        raise BrokerError(
            f"cannot read the end of {AUDIT}: {error.args[0].name()}", fix="tenminute doctor"
        ) from None
    finally:
        reader.close()
        ender.close()


def _last_head(reader: Consumer, ender: Consumer, partition: int) -> ChainHead:
    low, end = ender.get_watermark_offsets(TopicPartition(AUDIT, partition), timeout=_CALL_SECONDS)
    window = _WINDOW_RECORDS
    while end > low:
        start = max(low, end - window)
        found = _last_between(reader, partition, start, end)
        if found is not None or start == low:
            return found or GENESIS
        window *= 2
    return GENESIS


def _last_between(reader: Consumer, partition: int, start: int, end: int) -> ChainHead | None:
    """Head of the last committed record from `start` to `end`, None when all were aborted."""
    reader.assign([TopicPartition(AUDIT, partition, start)])
    deadline, found = time.monotonic() + RESTORE_SECONDS_MAX, None
    while time.monotonic() < deadline:
        for message in reader.consume(_WINDOW_RECORDS, 0.05):
            error, offset = message.error(), message.offset() or 0
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                if offset >= end:
                    return found
                continue
            if error is not None:
                raise KafkaException(error)
            found = head_of(headers_of(message))
            if found is None:
                raise BrokerError(
                    f"{AUDIT}/{partition}/{offset} is no link of a chain",
                    fix="written by another program? see the runbook, 'audit chain'",
                )
    raise BrokerError(f"end of {AUDIT}/{partition} not reached", fix="tenminute doctor")
