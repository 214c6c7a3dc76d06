"""Record headers: CloudEvents 1.0 in Kafka binary mode, plus the schema version."""

from __future__ import annotations

from functools import lru_cache

SCHEMA_VERSION = "1"
Headers = list[tuple[str, bytes]]
_JSON = ("content-type", b"application/json")


def cloud_event(event_type: str, source: str, event_id: str, time: str) -> Headers:
    """Headers of one record; `event_type` is the topic's entity, such as `loan.application.v1`."""
    return [*_constant(event_type, source), ("ce_id", event_id.encode()), _at(time), _JSON]


@lru_cache(maxsize=4_096)  # a batch has one instant
def _at(time: str) -> tuple[str, bytes]:
    return "ce_time", time.encode()


@lru_cache(maxsize=64)
def _constant(event_type: str, source: str) -> Headers:
    return [
        ("schema_version", SCHEMA_VERSION.encode()),
        ("ce_specversion", b"1.0"),
        ("ce_type", event_type.encode()),
        ("ce_source", source.encode()),
    ]
