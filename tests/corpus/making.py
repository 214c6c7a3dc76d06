"""The records of the catalogue that no credit officer could read as text: large, random, many.

`MAKERS` names each; a maker returns its records by name, each with the field
its dead letter blames.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from builders import HEADERS, application
from policy_cases import merged

from stream.domain.application import Application, Authorization
from stream.limits import JSON_DEPTH_MAX, RECORD_BYTES_MAX

GOOD: dict[str, Any] = {"declared": {"annual_income_fen": 20_000_000, "employment_years": 10}}
"""Laid over the sound application, it is approved in full."""

CANARY = "canary.zhang.110101199003074258"
"""A name and a national id as they must never come back: dots keep it a well-formed id."""

_AMOUNT = b'"requested_amount_fen":5000000'
_Headers = Sequence[tuple[str, str | bytes | None]]


class Made(NamedTuple):
    """A value, with its key and headers when they are not the sound ones."""

    value: bytes | None
    field: str = "$"
    headers: _Headers = HEADERS
    has_key: bool = True


def document(**changes: Any) -> dict[str, Any]:
    """The application that would be approved, with `changes` laid over it."""
    return merged(application(**GOOD), changes)


def sound_with(**changes: Any) -> bytes:
    """The same as bytes."""
    return msgspec.json.encode(document(**changes))


SOUND = sound_with()


def with_member(member: bytes) -> bytes:
    """The sound application with one more member of raw JSON at its end."""
    return SOUND[:-1] + b"," + member + b"}"


def with_amount(literal: bytes) -> bytes:
    """The sound application with its amount spelt as `literal`."""
    return replaced(_AMOUNT, b'"requested_amount_fen":' + literal)


def replaced(old: bytes, new: bytes) -> bytes:
    """The sound application with its one `old` replaced by `new`."""
    assert SOUND.count(old) == 1, f"{old!r} is not in the sound application exactly once"
    return SOUND.replace(old, new)


def padded_to(size: int) -> bytes:
    """The sound application, padded with an unknown field to `size` bytes exactly."""
    frame = with_member(b'"note":""')
    return frame[:-2] + b"x" * (size - len(frame)) + frame[-2:]


def nested(depth: int) -> bytes:
    """The sound application with an unknown field, so that all in all it nests `depth` deep."""
    return with_member(b'"x":' + b"[" * (depth - 1) + b"]" * (depth - 1))


def _one(value: bytes | None, **more: Any) -> Callable[[], dict[str, Made]]:
    return lambda: {"": Made(value, **more)}


def _random_bytes() -> dict[str, Made]:
    chance = random.Random(7)  # none of these is a number or a word of JSON
    sizes = [1, 2, 3, 4_096, *(chance.randint(1, 4_096) for _ in range(28))]
    return {f"{size} bytes, {at}": Made(chance.randbytes(size)) for at, size in enumerate(sizes)}


def _cut() -> dict[str, Made]:
    return {f"at {end}": Made(SOUND[:end]) for end in range(len(SOUND))}


def _required(structure: type, within: str = "") -> list[str]:
    fields = msgspec.structs.fields(structure)
    return [f"{within}{field.name}" for field in fields if field.required]


REQUIRED = [*_required(Application), *_required(Authorization, "authorization.")]
"""Every field an application must have, as a dead letter names it."""


def _each_required(become: Any) -> Callable[[], dict[str, Made]]:
    def made() -> dict[str, Made]:
        found = {}
        for path in REQUIRED:
            outer, _, inner = path.partition(".")
            if isinstance(become, dict) and path in {"authorization", "declared"}:
                continue  # an object is what they are
            changed = msgspec.json.decode(SOUND)
            holder = changed[outer] if inner else changed
            if become == "absent":
                del holder[inner or outer]
            else:
                holder[inner or outer] = become
            found[path] = Made(msgspec.json.encode(changed), path)
        return found

    return made


def _each_known_twice() -> dict[str, Made]:
    whole = document(
        decide_by="2026-11-24T08:09:00Z", region_code="cn_44", offer_id="offer-00000001",
        synthetic=True,
    )  # fmt: skip
    found = {}
    text = msgspec.json.encode(whole)
    for held in (whole, whole["authorization"], whole["declared"]):
        for name, value in held.items():
            member = msgspec.json.encode({name: value})[1:-1]
            found[name] = Made(text.replace(member, member + b"," + member), name)
    return found


def _turned() -> dict[str, Made]:
    turned = dict(reversed(document().items()))
    return {"": Made(json.dumps(turned, indent=2).encode())}


_MANY = [(f"h{number}", b"\xff" * 64) for number in range(1_000)]
_UNREAD = b'"x":' + b"1" * 10_000

MAKERS: Mapping[str, Callable[[], dict[str, Made]]] = {
    "no value": _one(None),
    "random bytes": _random_bytes,
    "byte order mark": _one(b"\xef\xbb\xbf" + SOUND),
    "UTF-16": _one(SOUND.decode().encode("utf-16")),
    "UTF-16 without a mark": _one(SOUND.decode().encode("utf-16-le")),
    "0xFF in an unknown field": _one(with_member(b'"note":"\xff"')),
    "gzip": _one(gzip.compress(SOUND, mtime=0)),
    "cut at every offset": _cut,
    "two documents": _one(SOUND + SOUND),
    "single quotes": _one(SOUND.replace(b'"', b"'")),
    "a list of one": _one(b"[" + SOUND + b"]"),
    "nested 16 deep": _one(nested(JSON_DEPTH_MAX)),
    "nested 17 deep": _one(nested(JSON_DEPTH_MAX + 1)),
    "nested 1,000 deep": _one(nested(1_000)),
    "nested 1,025 deep": _one(nested(1_025)),
    "nested 100,000 deep": _one(nested(100_000)),
    "opened 20,000 times": _one(b"[" * 20_000),
    "each known key twice": _each_known_twice,
    "10,000 unknown keys": _one(with_member(b",".join(b'"k%d":0' % i for i in range(10_000)))),
    "4,000 unknown keys": _one(with_member(b",".join(b'"k%d":0' % i for i in range(4_000)))),
    "text of 1 MB": _one(with_member(b'"x":"' + b"y" * 2**20 + b'"')),
    "text of 1,000,000 bytes": _one(padded_to(1_000_000)),
    "array of 1,000,000 elements": _one(with_member(b'"x":[' + b"0," * 999_999 + b"0]")),
    "array of 30,000 elements": _one(with_member(b'"x":[' + b"0," * 29_999 + b"0]")),
    "amount of 100 digits": _one(with_amount(b"9" * 100), field="requested_amount_fen"),
    "amount of 400 digits": _one(with_amount(b"9" * 400), field="requested_amount_fen"),
    "amount of 5,000 digits": _one(with_amount(b"9" * 5_000), field="requested_amount_fen"),
    "10,000 digits unread": _one(with_member(_UNREAD)),
    "10,000 digits unread and an escape": _one(with_member(_UNREAD + b',"y":"\\u0061"')),
    "id of 10 kB": _one(sound_with(application_id=CANARY * 350), field="application_id"),
    "id of 65": _one(sound_with(application_id="a" * 65), field="application_id"),
    "each required field missing": _each_required("absent"),
    "each required field null": _each_required(None),
    "each required field a list": _each_required([]),
    "each required field an object": _each_required({"a": CANARY}),
    "no key": _one(SOUND, has_key=False),
    "keys turned round": _turned,
    "1,000 headers": _one(SOUND, headers=[*HEADERS, *_MANY]),
    "1,000 headers and no version": _one(SOUND, headers=_MANY),
    "headers not UTF-8": _one(SOUND, headers=[*HEADERS, ("trace", b"\xff\xfe")]),
    "header of 64 kB": _one(SOUND, headers=[*HEADERS, ("trace", b"x" * 65_536)]),
    "version not UTF-8": _one(SOUND, headers=[("schema_version", b"\xff\xfe")]),
    "version null": _one(SOUND, headers=[("schema_version", None)]),
    "the largest size": _one(padded_to(RECORD_BYTES_MAX)),
    "one byte more": _one(padded_to(RECORD_BYTES_MAX + 1)),
    "8 MB of one letter": _one(padded_to(8_000_000)),
}
