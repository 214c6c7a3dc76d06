"""A sealed dead letter gives back the record it was, and shows nothing of it before.

What one tells that no key seals: `tests/unit/test_dead_letter_private.py`.
"""

from __future__ import annotations

import base64
import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import TOKEN

from stream.codec.dead_letter_v1 import (
    REPLAYED_FROM,
    DeadLetterError,
    NotKeptError,
    dead_letter_key,
    decode_dead_letter,
    encode_dead_letter,
    open_dead_letter,
)
from stream.codec.seal import Sealer, SealError
from stream.domain.topics import DEAD_LETTERS
from stream.errors import PoisonError
from stream.limits import DEAD_LETTER_BYTES_MAX
from stream.ports import Record

SEALER = Sealer(hashlib.sha256(b"a key of the tests").digest())
SEALERS = {SEALER.key_id: SEALER}
ERROR = PoisonError("invalid", "term_months", "expected `int`")
MESSAGE_BYTES_MAX = 1_000_000
"""What librdkafka sends at most, by default; the broker takes a little more."""

HEADERS = st.lists(st.tuples(st.text(max_size=20), st.none() | st.binary(max_size=40)), max_size=6)
RECORDS = st.builds(
    Record,
    topic=st.sampled_from(["loan.applications", "loan.application-events"]),
    partition=st.integers(0, 999),
    offset=st.integers(0, 2**62),
    key=st.none() | st.binary(max_size=60),
    value=st.none() | st.binary(max_size=3_000),
    headers=HEADERS,
    timestamp_ms=st.integers(-1, 2**41),
)


def letter_of(record: Record, sealer: Sealer | None, now_ms: int = 1_764_000_000_000) -> Record:
    value, headers = encode_dead_letter(record, ERROR, now_ms, sealer)
    return Record(DEAD_LETTERS, record.partition, 7, None, value, headers, now_ms)


def earlier(record: Record) -> Record:
    """The letter as an engine without a key wrote it before outlines: all of it, in the open."""
    letter = letter_of(record, None)
    packed = {"key": record.key, "headers": record.headers, "tombstone": record.value is None}
    envelope = base64.b64encode(msgspec.json.encode(packed))
    headers = [each for each in letter.headers if each[0] != "x-origin-outline"]
    return letter._replace(
        value=record.value or b"", headers=[*headers, ("x-origin-envelope", envelope)]
    )


def whole(record: Record) -> int:
    named = sum(len(name.encode()) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + named


@pytest.mark.parametrize("sealed", [True, False])
@given(record=RECORDS)
def test_a_dead_letter_gives_back_its_record(sealed: bool, record: Record) -> None:
    """Key, value and headers come back as they were, tombstones as tombstones.

    So they do from a letter in the open that an earlier engine wrote.
    """
    letter = decode_dead_letter(letter_of(record, SEALER) if sealed else earlier(record))
    original = open_dead_letter(letter, SEALERS)
    assert (record.key, record.value) == (original.key, original.value)
    assert tuple(record.headers) == original.headers
    assert f"{record.topic}/{record.partition}/{record.offset}" == letter.origin
    assert ("invalid", "term_months", record.timestamp_ms) == (
        letter.reason, letter.field, letter.timestamp_ms,
    )  # fmt: skip
    assert (sealed, False) == (letter.sealed, letter.truncated)


@given(record=RECORDS)
def test_a_dead_letter_is_a_function_of_its_input(record: Record) -> None:
    """A batch decided again writes the same dead letter, byte for byte."""
    assert letter_of(record, SEALER) == letter_of(record, SEALER)


@given(secret=st.binary(min_size=8, max_size=300).map(b"\0%b".__mod__), record=RECORDS)
def test_a_sealed_letter_shows_nothing(secret: bytes, record: Record) -> None:
    """Neither value nor headers hold what was in the value, the key or a header."""
    record = record._replace(key=secret, value=secret, headers=[("note", secret)])
    letter = letter_of(record, SEALER)
    assert secret not in (letter.value or b"")
    assert not [name for name, value in letter.headers if secret in (value or b"")]
    with pytest.raises(SealError, match="not at hand"):
        open_dead_letter(decode_dead_letter(letter), {})


@given(record=RECORDS, bit=st.integers(0))
def test_a_changed_envelope_or_value_does_not_open(record: Record, bit: int) -> None:
    """A bit flipped in the sealed value, or an envelope put in its place, is found."""
    letter = decode_dead_letter(letter_of(record, SEALER))
    flipped = bytearray(letter.kept)
    flipped[bit // 8 % len(flipped)] ^= 1 << bit % 8
    with pytest.raises(SealError):
        open_dead_letter(letter._replace(kept=bytes(flipped)), SEALERS)
    other = decode_dead_letter(letter_of(record._replace(offset=record.offset + 1), SEALER))
    with pytest.raises(SealError):
        open_dead_letter(letter._replace(envelope=other.envelope), SEALERS)
    with pytest.raises(SealError):
        open_dead_letter(letter._replace(kept=other.kept), SEALERS)


@given(record=RECORDS)
def test_plain_bytes_that_changed_do_not_match_their_hash(record: Record) -> None:
    """Of a letter in the open, as earlier engines wrote them, the hash tells."""
    letter = decode_dead_letter(earlier(record))
    with pytest.raises(DeadLetterError, match="x-sha256"):
        open_dead_letter(letter._replace(kept=letter.kept + b"x"), {})


@given(record=RECORDS)
def test_a_letter_that_was_not_kept_says_so(record: Record) -> None:
    """Without a key there is nothing to give back, whatever keys are at hand; its hash is told."""
    letter = decode_dead_letter(letter_of(record, None))
    assert (letter.kept, letter.envelope, letter.sealed) == (b"", None, False)
    assert hashlib.sha256(record.value or b"").hexdigest() == letter.sha256
    with pytest.raises(NotKeptError, match="not kept"):
        open_dead_letter(letter, SEALERS)


@pytest.mark.parametrize("big", ["value", "key", "headers"])
def test_an_oversize_record_without_a_key_fits(big: str) -> None:
    """Of 10 MB of value, key or headers, no more than the size is told."""
    much = b"x" * 10_000_000
    changed = {big: [("h", much)] if big == "headers" else much}
    record = Record("loan.applications", 0, 1, b"k", b"v", [], 0)._replace(**changed)
    assert whole(letter_of(record, None)) < 2_000


@pytest.mark.parametrize("spoilt", [b"", b"{", b'{"key_bytes": "7"}', b"\xff"])
def test_a_letter_whose_outline_is_none_is_no_dead_letter(spoilt: bytes) -> None:
    """It is named as such, whoever wrote it."""
    record = letter_of(Record("loan.applications", 0, 1, b"k", b"v", [], 0), None)
    headers = [each for each in record.headers if each[0] != "x-origin-outline"]
    with pytest.raises(DeadLetterError, match="outline"):
        decode_dead_letter(record._replace(headers=[*headers, ("x-origin-outline", spoilt)]))


@pytest.mark.parametrize("big", ["value", "key", "headers"])
def test_an_oversize_record_is_cut_and_fits(big: str) -> None:
    """10 MB of value, key or headers become a letter the broker takes, marked as cut."""
    much = b"x" * 10_000_000
    changed = {big: [("h", much)] if big == "headers" else much}
    record = Record("loan.applications", 0, 1, b"k", b"v", [], 0)._replace(**changed)
    found = letter_of(record, SEALER)._replace(key=dead_letter_key(record.key))
    assert whole(found) < MESSAGE_BYTES_MAX / 2
    letter = decode_dead_letter(found)
    assert letter.truncated
    assert hashlib.sha256(record.value or b"").hexdigest() == letter.sha256
    kept = open_dead_letter(letter, SEALERS).value
    assert (record.value or b"")[:DEAD_LETTER_BYTES_MAX] == kept


@pytest.mark.parametrize(
    ("key", "kept"),
    [
        (TOKEN.encode(), TOKEN.encode()),
        (None, None),
        (b"", None),
        (b"110101199003074514", None),
        (TOKEN.encode() + b"\n", None),
        (TOKEN.upper().encode(), None),
    ],
)
def test_only_a_token_stays_as_the_key(key: bytes | None, kept: bytes | None) -> None:
    """An id number that a channel took for the key does not lie open on the topic."""
    assert kept == dead_letter_key(key)


@pytest.mark.parametrize("spelt", ["2/17", b"2/17"])
def test_a_letter_names_the_letter_it_was(spelt: str | bytes) -> None:
    """A record sent again that fails again says from which dead letter it came."""
    record = Record("loan.applications", 0, 1, b"k", b"v", [(REPLAYED_FROM, spelt)], 0)
    assert decode_dead_letter(letter_of(record, SEALER)).replayed_from == "2/17"


@pytest.mark.parametrize(
    "spelt", [None, b"", b"2/17/3", b"1/19900000000", b"call 138 0013 8000", b"\xff"]
)
def test_what_is_no_place_is_not_repeated(spelt: bytes | None) -> None:
    """Whatever else stands in that header stays sealed."""
    record = Record("loan.applications", 0, 1, b"k", b"v", [(REPLAYED_FROM, spelt)], 0)
    assert decode_dead_letter(letter_of(record, SEALER)).replayed_from is None


@pytest.mark.parametrize("spoilt", ["x-error-reason", "x-origin-offset", "ce_time", "x-sha256"])
def test_a_record_without_its_headers_is_no_dead_letter(spoilt: str) -> None:
    """What lacks a header is named as no dead letter instead of being guessed at."""
    record = letter_of(Record("loan.applications", 0, 1, b"k", b"v", [], 0), None)
    headers = [(name, value) for name, value in record.headers if name != spoilt]
    with pytest.raises(DeadLetterError, match=spoilt):
        decode_dead_letter(record._replace(headers=headers))


def test_a_letter_of_the_first_release_is_still_read() -> None:
    """Without x-encryption the value is plain; its key and headers were not kept."""
    record = earlier(Record("loan.applications", 0, 1, b"k", b"v", [], 0))
    late = {"x-encryption", "x-origin-envelope"}
    headers = [(name, value) for name, value in record.headers if name not in late]
    letter = decode_dead_letter(record._replace(headers=headers))
    assert (letter.sealed, letter.envelope) == (False, None)
    assert open_dead_letter(letter, {}) == (None, b"v", ())
