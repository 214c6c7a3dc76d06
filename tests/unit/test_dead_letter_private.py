"""Id numbers, phone numbers and names in broken records: none lies open in what is written.

All are visibly made up. Whatever leaves is looked through as it is, and again
after undoing base64, hexadecimal and JSON escapes, as often as there are any.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cache

import msgspec
import pytest
from builders import HEADERS, NOW_MS, application_bytes, under
from corpus.bench import models, views
from policy_cases import POLICY, TOKEN

from stream.codec.dead_letter_v1 import (
    REPLAYED_FROM,
    NotKeptError,
    decode_dead_letter,
    encode_dead_letter,
    open_dead_letter,
)
from stream.codec.outline import HEADERS_MAX, Outline
from stream.codec.seal import Sealer
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.topics import APPLICATIONS, AUDIT, DEAD_LETTERS, EVENTS, INPUTS
from stream.errors import PoisonError
from stream.pipeline import Pipeline
from stream.ports import Output, Record

CANARIES = ("999999199001019999", "99999919900101999X", "19900000000", "张测试", "Ceshi Zhang")
SEALER = Sealer(hashlib.sha256(b"a key of the tests").digest())
BOTH = pytest.mark.parametrize("sealer", [None, SEALER], ids=["plain", "sealed"])
TOLD = (
    ("schema_version", b"1"),
    ("ce_specversion", b"1.0"),
    ("ce_type", b"loan.application.v1"),
    ("ce_source", b"/channels/h5"),
    ("ce_time", b"2026-11-24T08:00:00.000Z"),
    ("content-type", b"application/json"),
    (REPLAYED_FROM, b"3/41"),
    ("x-forwarded-from", b"2/17"),
)
"""Headers as a channel and the engine write them."""
NAMES = (*(name for name, _ in TOLD), "ce_id", "traceparent", "x-invented-later", "note")

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{8,}={0,2}")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){4,}")
_ESCAPED = re.compile(rb"(?:\\u[0-9a-fA-F]{4})+")


def undone(text: bytes, depth: int = 2) -> Iterator[bytes]:
    """The text, and all that base64, hexadecimal and JSON escapes in it stand for."""
    yield text
    if depth == 0:
        return
    for found in _BASE64.findall(text):
        for start in range(4):
            run = found[start:].rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
            if len(run) % 4 != 1:
                yield from undone(base64.b64decode(run + b"=" * (-len(run) % 4)), depth - 1)
    for found in _HEX.findall(text):
        yield from undone(binascii.unhexlify(found), depth - 1)
    for found in _ESCAPED.findall(text):
        yield from undone(msgspec.json.decode(b'"%b"' % found).encode(), depth - 1)


def hits(texts: Iterable[bytes]) -> set[str]:
    """Which canaries can be read in any of the texts."""
    return {canary for text in set(texts) for canary in _read_in(text)}


@cache
def _read_in(text: bytes) -> set[str]:
    plain = list(undone(text))
    return {canary for canary in CANARIES if any(canary.encode() in each for each in plain)}


def written(output: Output) -> Iterator[bytes]:
    """Everything of a record that lies on a topic."""
    yield from (output.key or b"", output.value or b"")
    for name, value in output.headers:
        yield from (name.encode(), value.encode() if isinstance(value, str) else value or b"")


def _values(canary: str) -> Iterator[bytes]:
    """A canary where channels have put such things: bare, in place of fields, as names of them."""
    sound = msgspec.json.decode(application_bytes())
    yield canary.encode()
    yield base64.b64encode(canary.encode())
    yield msgspec.json.encode({"name": canary})
    yield msgspec.json.encode({canary: canary})
    for field in sound:
        yield msgspec.json.encode({**sound, field: canary})
        yield msgspec.json.encode({**sound, field: {canary: canary}})
    yield msgspec.json.encode({**sound, "declared": {**sound["declared"], canary: [canary]}})
    twice = msgspec.json.encode({**sound, canary: 1})
    yield twice[:-1] + b"," + msgspec.json.encode({canary: 2})[1:]
    yield msgspec.json.encode({**sound, "id_card": canary})[:-1]


def _records(canary: str) -> Iterator[Record]:
    """Broken records of every input topic with the canary in key, headers, header names, value."""
    token, bare = TOKEN.encode(), canary.encode()
    broken = b'{"application_id": 7}'
    for topic in INPUTS:
        for key in (bare, base64.b64encode(bare), token + bare, b"a1_" + bare, bare.hex().encode()):
            yield Record(topic, 0, 0, key, broken, HEADERS, NOW_MS)
        for spelt in (
            bare,
            base64.b64encode(bare),
            b"/channels/" + bare,
            b"1/" + bare,
            bare + b".0",
        ):
            for name in NAMES:
                yield Record(topic, 0, 0, token, broken, [*HEADERS, (name, spelt)], NOW_MS)
        yield Record(topic, 0, 0, token, broken, [("schema_version", bare)], NOW_MS)
        yield Record(topic, 0, 0, token, broken, [*HEADERS, (canary, b"1")], NOW_MS)
        yield Record(topic, 0, 0, token, broken, [*HEADERS, (f"x-{canary}", canary)], NOW_MS)
        for value in _values(canary):
            yield Record(topic, 0, 0, token, value, HEADERS, NOW_MS)
            yield Record(topic, 0, 0, bare, value, HEADERS, NOW_MS)


def test_the_search_finds_what_is_hidden() -> None:
    """A canary within base64 within JSON within base64, in hex and in escapes is seen."""
    for canary in CANARIES:
        inner = msgspec.json.encode({"key": base64.b64encode(canary.encode()).decode()})
        escaped = b'{"name": "%b"}' % b"".join(b"\\u%04x" % ord(each) for each in canary)
        for text in (inner, base64.b64encode(inner), canary.encode().hex().encode(), escaped):
            assert hits([b"x-" + text]) == {canary}


@BOTH
def test_no_dead_letter_or_its_audit_record_shows_a_person(sealer: Sealer | None) -> None:
    """Through the whole path: 0 hits in keys, values and headers of all that is written."""
    pipeline = Pipeline(models(), POLICY, sealer)
    letters = 0
    for canary in CANARIES:
        # Sealed bytes are all alike: there a part of the records will do.
        records = list(_records(canary))[:: 1 if sealer is None else 7]
        # One at a time on a ledger of its own: none is a repeat of another.
        for each in records:
            batch = pipeline.run([each], {0: Draft(Ledger())}, under(views(), partitions=1))
            gone = [out for out in batch.outputs if out.topic in (DEAD_LETTERS, AUDIT)]
            if batch.buried:
                letters += 1
                assert hits(text for out in gone for text in written(out)) == set()
    assert letters > 200


@BOTH
def test_whatever_an_error_is_the_letter_shows_no_person(sealer: Sealer | None) -> None:
    """The encoder alone, all places at once; with the key everything comes back."""
    everything = "|".join(CANARIES)
    record = Record(
        EVENTS, 3, 41, everything.encode(), everything.encode(),
        [(name, everything.encode()) for name in (*NAMES, *CANARIES)], NOW_MS,
    )  # fmt: skip
    error = PoisonError("wrong_key", "key", "9 bytes, expected the applicant_token")
    value, headers = encode_dead_letter(record, error, NOW_MS, sealer)
    assert hits(written(Output(DEAD_LETTERS, 3, None, value, headers))) == set()
    letter = decode_dead_letter(Record(DEAD_LETTERS, 3, 7, None, value, headers, NOW_MS))
    if sealer is None:
        with pytest.raises(NotKeptError, match="no dead_letter_key_file"):
            open_dead_letter(letter, {SEALER.key_id: SEALER})
    else:
        expected = (record.key, record.value, tuple(record.headers))
        assert expected == open_dead_letter(letter, {SEALER.key_id: SEALER})


def _outline(record: Record) -> Outline:
    value, headers = encode_dead_letter(record, PoisonError("invalid", "$", "missing"), 0, None)
    assert value == b""
    letter = decode_dead_letter(Record(DEAD_LETTERS, 0, 0, None, value, headers, 0))
    assert letter.outline is not None
    return letter.outline


def test_the_outline_tells_what_no_person_can_be_in() -> None:
    """Our own headers in their form are told; of all else the size."""
    foreign = [("ce_id", b"app-20261124-0001"), ("ce_type", b"loan.ceshi.v1"), ("note", None)]
    record = Record(APPLICATIONS, 0, 1, TOKEN.encode(), b"{}", [*TOLD, *foreign], NOW_MS)
    told = (*((name, value.decode()) for name, value in TOLD), ("ce_type", 13))
    assert Outline(len(TOKEN), 2, told, 2, 17) == _outline(record)


def test_the_outline_of_nothing_and_of_too_much_is_short() -> None:
    """A record without parts has no sizes; thousands of headers are counted."""
    bare = Record(APPLICATIONS, 0, 1, None, None, [], NOW_MS)
    assert Outline() == _outline(bare)
    many = bare._replace(key=b"x" * 1_000_000, headers=[("ce_type", b"y" * 100)] * 5_000)
    told = (("ce_type", 100),) * HEADERS_MAX
    others = 5_000 - HEADERS_MAX
    assert Outline(1_000_000, None, told, others, 100 * others) == _outline(many)
