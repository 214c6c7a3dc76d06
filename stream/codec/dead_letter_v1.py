"""`loan.applications.dlq`, version 1: the original bytes, with why and where in the headers."""

from __future__ import annotations

import hashlib

from stream.codec.headers import Headers, cloud_event
from stream.domain.instant import from_ms
from stream.errors import PoisonError
from stream.limits import DEAD_LETTER_BYTES_MAX
from stream.ports import Record


def encode_dead_letter(
    record: Record, error: PoisonError, topic: str, now_ms: int
) -> tuple[bytes, Headers]:
    """Value and headers of the dead letter of one record; a value too big is cut, its hash kept."""
    value = record.value or b""
    origin = f"{topic}/{record.partition}/{record.offset}"
    headers = cloud_event("loan.application.dead_letter.v1", "/engine", origin, from_ms(now_ms))
    headers += [
        ("x-error-reason", error.reason.encode()),
        ("x-error-field", error.field.encode()),
        ("x-error-detail", error.detail.encode()),
        ("x-origin-topic", topic.encode()),
        ("x-origin-partition", str(record.partition).encode()),
        ("x-origin-offset", str(record.offset).encode()),
        ("x-origin-timestamp-ms", str(record.timestamp_ms).encode()),
        ("x-sha256", hashlib.sha256(value).hexdigest().encode()),
    ]
    if len(value) > DEAD_LETTER_BYTES_MAX:
        headers.append(("x-truncated", b"1"))
    return value[:DEAD_LETTER_BYTES_MAX], headers
