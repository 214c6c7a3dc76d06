"""The closed list of ways in which a demo record is deliberately broken.

Each takes the bytes of a good application and says which dead letter it must
become; a test holds every way against the engine's own decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import orjson

from stream.limits import RECORD_BYTES_MAX


class Broken(NamedTuple):
    """A record no engine can decide, and the dead-letter reason it must get."""

    key: bytes
    value: bytes
    has_version: bool
    reason: str


class Way(NamedTuple):
    """One way to break a record."""

    name: str
    reason: str
    change: Callable[[bytes], bytes]
    changes_key: bool = False
    has_version: bool = True


def _set(field: str, value: object) -> Callable[[bytes], bytes]:
    def change(good: bytes) -> bytes:
        return orjson.dumps({**orjson.loads(good), field: value})

    return change


def _without(field: str) -> Callable[[bytes], bytes]:
    def change(good: bytes) -> bytes:
        return orjson.dumps({k: v for k, v in orjson.loads(good).items() if k != field})

    return change


def _nan(good: bytes) -> bytes:
    marked = _set("requested_amount_fen", "@")(good)
    return marked.replace(b'"@"', b"NaN")


def _same(good: bytes) -> bytes:
    return good


WAYS = (
    Way("truncated", "unreadable", lambda good: good[: len(good) // 2]),
    Way("not_utf8", "unreadable", lambda good: good.replace(b'"CNY"', b'"CN\xff"', 1)),
    Way("nan", "unreadable", _nan),
    Way("empty", "unreadable", lambda _good: b""),
    Way("wrong_type", "invalid", _set("term_months", "36")),
    Way("missing_field", "invalid", _without("segment")),
    Way("negative_amount", "invalid", _set("requested_amount_fen", -100)),
    Way("unknown_channel", "invalid", _set("channel", "telepathy")),
    Way("bad_token", "invalid", _set("applicant_token", "DEMO-000000000001")),
    Way("bad_instant", "invalid", _set("submitted_at", "yesterday, about noon")),
    Way("no_version", "invalid", _same, has_version=False),
    Way("oversize", "oversize", _set("note", "x" * (RECORD_BYTES_MAX + 4_000))),
    Way("wrong_key", "wrong_key", _same, changes_key=True),
)


def break_record(way: Way, key: bytes, good: bytes) -> Broken:
    """The good record broken in that way."""
    other_key = key[:-1] + (b"0" if key[-1:] != b"0" else b"1")
    return Broken(
        key=other_key if way.changes_key else key,
        value=way.change(good),
        has_version=way.has_version,
        reason=way.reason,
    )
