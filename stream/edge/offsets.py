"""Asking the broker about offsets; each caller says in its own words what an error means to it."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from stream.ports import Place


def bounds_of(asker: Consumer, place: Place, seconds: float) -> tuple[int, int]:
    """First offset kept and the end; a reader of committed records is told the stable end."""
    low, end = asker.get_watermark_offsets(TopicPartition(*place), timeout=seconds)
    return low, end


def committed_of(
    asker: Consumer, places: Sequence[Place], seconds: float
) -> dict[Place, int | None]:
    """Committed offsets of the asker's group, None where there is none."""
    found: dict[Place, int | None] = {}
    for answer in asker.committed([TopicPartition(*place) for place in places], timeout=seconds):
        if answer.error is not None:
            raise KafkaException(answer.error)
        offset = answer.offset if answer.offset >= 0 else None
        found[Place(answer.topic, answer.partition)] = offset
    return found


def starts_of(
    asker: Consumer, places: Sequence[Place], since_ms: int, seconds: float
) -> dict[Place, int]:
    """First offset at or after an instant, -1 where there is none; KafkaException on any error."""
    if not places:
        return {}
    asked = [TopicPartition(*place, since_ms) for place in places]
    found: dict[Place, int] = {}
    for answer in asker.offsets_for_times(asked, timeout=seconds):
        # An error taken for "nothing since" would make an empty ledger of a full topic.
        if answer.error is not None:
            raise KafkaException(answer.error)
        found[Place(answer.topic, answer.partition)] = answer.offset
    return found
