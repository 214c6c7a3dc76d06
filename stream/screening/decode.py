"""Profiles from bytes, a batch in one parse; what cannot be read is named without its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from stream.domain.instant import to_ms
from stream.domain.profile import CustomerProfile
from stream.errors import PoisonError

PROFILE_BYTES_MAX = 16 * 1024
"""A profile of every field is under 600 bytes."""

_one = msgspec.json.Decoder(CustomerProfile)
_many = msgspec.json.Decoder(list[CustomerProfile])


class Taken(NamedTuple):
    """The profiles of a batch by key, None for a tombstone, and the bad ones by their place."""

    latest: dict[bytes, CustomerProfile | None]
    bad: list[tuple[int, PoisonError]]
    unreadable: set[bytes]
    """Keys of `latest` whose last word was a bad record: None there too, nothing is known."""


def take(records: Sequence[tuple[bytes | None, bytes | None]]) -> Taken:
    """The last word on each key of a batch; a bad record takes back the word before it."""
    values = [value for _, value in records if value is not None]
    try:
        if max(map(len, values), default=0) > PROFILE_BYTES_MAX:
            return _singly(records)
        # One parse for all. A value that closes the list early cannot pass: the counts differ.
        profiles = iter(_many.decode(b"[" + b",".join(values) + b"]")) if values else iter(())
        latest: dict[bytes, CustomerProfile | None] = {}
        count = 0
        for key, value in records:
            if value is None:
                if not key:
                    return _singly(records)
                latest[key] = None
                continue
            profile = next(profiles)
            count += 1
            if profile.applicant_token.encode() != key:
                return _singly(records)
            to_ms(profile.as_of)
            latest[key] = profile
    except (ValueError, RecursionError, StopIteration):
        return _singly(records)
    if next(profiles, None) is not None:
        return _singly(records)
    return Taken(latest, [], set())


def _singly(records: Sequence[tuple[bytes | None, bytes | None]]) -> Taken:
    taken = Taken({}, [], set())
    for index, (key, value) in enumerate(records):
        try:
            if value is None:
                if not key:
                    raise PoisonError("wrong_key", "key", "missing on a tombstone")
                taken.latest[key] = None
                taken.unreadable.discard(key)
                continue
            profile = _decode(value)
            if key is None or profile.applicant_token.encode() != key:
                raise PoisonError("wrong_key", "key", "is not the applicant token")
            taken.latest[key] = profile
            taken.unreadable.discard(key)
        except PoisonError as error:
            taken.bad.append((index, error))
            if key:
                taken.latest[key] = None
                taken.unreadable.add(key)
    return taken


def _decode(value: bytes) -> CustomerProfile:
    if len(value) > PROFILE_BYTES_MAX:
        raise PoisonError("oversize", "value", f"more than {PROFILE_BYTES_MAX} bytes")
    try:
        profile = _one.decode(value)
    except msgspec.ValidationError as error:
        raise PoisonError("invalid", _field(error), "not as the schema says") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PoisonError("unreadable", "value", "no JSON in UTF-8") from None
    try:
        to_ms(profile.as_of)
    except ValueError:
        raise PoisonError("invalid", "as_of", "no instant with a zone") from None
    return profile


def _field(error: msgspec.ValidationError) -> str:
    """The field of the schema at fault; an unknown name is not repeated, it may say anything."""
    text = str(error)
    for field in CustomerProfile.__struct_fields__:
        if f"$.{field}`" in text or f"field `{field}`" in text:
            return field
    return "value"
