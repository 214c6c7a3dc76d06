"""What a dead letter says of its record where no key seals it: shapes and sizes, nothing else.

A value, a key or a header that a channel filled wrongly may hold an id number, a
phone number or a name. So only what cannot be one is spelt out: the headers that
the schemas define, each only in its expected form. Of all else the size is told,
and no hash: eleven digits are found from their hash within seconds. Names of
other headers are not told either. A key that is an applicant token is the key of
the letter, and stands in no header.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from stream.domain.application import Channel
from stream.ports import Record

HEADERS_MAX: Final = 16
"""Headers told one by one; a real record has eight or nine."""

PLACE: Final = re.compile(rb"\d{1,5}/\d{1,10}")
"""Partition and offset; shorter than would hold a phone number of eleven digits."""

_INSTANT: Final = rb"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)"
_CHANNELS: Final = "|".join(Channel).encode()
_SHAPES: Final = {
    "schema_version": re.compile(rb"\d{1,3}"),
    "ce_specversion": re.compile(rb"\d\.\d"),
    "ce_type": re.compile(rb"loan\.(application|application\.event|referral\.outcome)\.v\d{1,2}"),
    "ce_source": re.compile(rb"/channels/(%b)" % _CHANNELS),
    "ce_time": re.compile(_INSTANT),
    "content-type": re.compile(rb"application/json(; ?charset=utf-8)?"),
    "x-forwarded-from": PLACE,
    "x-replayed-from": PLACE,
}
# `ce_id` and `traceparent` are left out: a number of a person's has a place in either's form.


class Outline(msgspec.Struct, frozen=True, omit_defaults=True):
    """Shape of one record; a size of None is a part that was not there."""

    key_bytes: int | None = None
    value_bytes: int | None = None
    headers: tuple[tuple[str, str | int | None], ...] = ()
    """Name with the value where it has the expected form, else with its size in bytes."""
    other_headers: int = 0
    other_header_bytes: int = 0


_outline = msgspec.json.Decoder(Outline)


def outline_of(record: Record) -> bytes:
    """The outline of a record, as JSON in plain text."""
    told: list[tuple[str, str | int | None]] = []
    others = other_bytes = 0
    for name, value in record.headers:
        content = value.encode() if isinstance(value, str) else value
        if name in _SHAPES and len(told) < HEADERS_MAX:
            told.append((name, _shape_of(name, content)))
        else:
            others += 1
            other_bytes += len(content or b"")
    return msgspec.json.encode(
        Outline(
            key_bytes=_size(record.key),
            value_bytes=_size(record.value),
            headers=tuple(told),
            other_headers=others,
            other_header_bytes=other_bytes,
        )
    )


def read_outline(text: str) -> Outline:
    """The outline in a header; ValueError when it is none."""
    try:
        return _outline.decode(text)
    except msgspec.DecodeError:
        raise ValueError("no outline") from None


def _shape_of(name: str, content: bytes | None) -> str | int | None:
    if content is not None and _SHAPES[name].fullmatch(content):
        return content.decode()
    return _size(content)


def _size(content: bytes | None) -> int | None:
    return None if content is None else len(content)
