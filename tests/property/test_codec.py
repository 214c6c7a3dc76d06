"""What holds of the decoder for any bytes at all."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from builders import application, application_bytes, raw
from corpus.bench import answer
from corpus.catalogue import CANARY
from hypothesis import example, given
from hypothesis import strategies as st

from stream.codec.application_v1 import (
    check_envelope,
    content_sha256,
    decode_application,
    decode_batch,
    decode_canonical,
    encode_application,
)
from stream.domain.application import Application
from stream.errors import PoisonError
from stream.obs.metrics import DEAD_LETTER_REASONS

SOUND = application_bytes()
_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT | st.just(CANARY),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)
_FIELDS = st.sampled_from([*application(), "region_code", "offer_id", "decide_by", "synthetic"])


def _decoded(value: bytes) -> Application | None:
    """The application, or None for a PoisonError that keeps its promises; all else escapes."""
    try:
        return decode_application(value)
    except PoisonError as error:
        poison = error
    assert poison.reason in DEAD_LETTER_REASONS
    assert CANARY not in str(poison)
    assert str(poison).isprintable()
    return None


@given(st.binary(max_size=4_096))
@example(b'{"x":' * 4_000)
@example(b"\xff\xfe{\x00}\x00")
def test_any_bytes_decode_or_are_poison(value: bytes) -> None:
    """No bytes raise anything but PoisonError."""
    assert _decoded(value) is None


@given(st.integers(0, len(SOUND) - 1), st.integers(0, 8), st.binary(max_size=8))
@example(SOUND.index(b"{") + 1, 0, b'"\xff":"\\u0061",')
@example(1, 0, b'"x":' + b"1" * 5_000 + b',"\\u0061":0,')
def test_damaged_bytes_decode_or_are_poison(at: int, cut: int, put: bytes) -> None:
    """A sound document with some bytes exchanged raises nothing but PoisonError."""
    _decoded(SOUND[:at] + put + SOUND[at + cut :])


@given(st.dictionaries(_FIELDS, _JSON, min_size=1, max_size=4), st.booleans())
def test_changed_fields_decode_or_are_poison(changes: dict[str, Any], ascii_only: bool) -> None:
    """A document with any JSON in its fields raises nothing but PoisonError."""
    document = {**application(), **changes}
    _decoded(json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass"))


_PATHS = [
    *((name,) for name in application()),
    *(("authorization", name) for name in application()["authorization"]),
    *(("declared", name) for name in application()["declared"]),
]


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A sound document with up to three members dropped, replaced, nested or given twice."""
    document: dict[str, Any] = json.loads(SOUND)
    twice: list[str] = []
    for path in draw(st.lists(st.sampled_from(_PATHS), min_size=1, max_size=3, unique=True)):
        holder = document
        for part in path[:-1]:
            holder = holder.get(part, {})
        if not isinstance(holder, dict) or path[-1] not in holder:
            continue
        name, kind = path[-1], draw(st.sampled_from(("drop", "replace", "nest", "double")))
        value = holder.pop(name)
        if kind == "replace":
            holder[name] = draw(_JSON)
        elif kind == "nest":
            holder[name] = {name: value}
        elif kind == "double":
            holder[name] = value
            twice.append(json.dumps({name: draw(st.just(value) | _JSON)})[1:-1])
    text = json.dumps(document)
    for member in twice:
        text = f"{text[:-1]},{member}}}"
    return text.encode()


@given(_mutated(), st.none() | st.integers(0, 3))
def test_a_mutated_document_gets_one_answer(value: bytes, copies: int | None) -> None:
    """Whatever a sound document is turned into, each record has one answer, and none escapes."""
    app = _decoded(value)
    if app is not None:
        assert app == decode_application(encode_application(app))
        assert len(value) >= len(encode_application(app))
    records = [raw(value, offset=number) for number in range(1 + (copies or 0))]
    got = answer(*records)
    assert len(records) == len(got.decisions) + len(got.letters) + got.repeats
    assert (0 if app is None else 1) >= len(got.decisions)


@given(
    st.none() | st.binary(max_size=200),
    st.none() | st.binary(max_size=64),
    st.lists(st.tuples(_TEXT, st.none() | st.binary(max_size=40)), max_size=4),
)
def test_any_record_at_all_gets_one_answer(
    value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    """No value, key or headers stop a batch, and the sound record in it is decided."""
    got = answer(raw(value, key=key, headers=headers), raw(SOUND))
    assert (len(got.decisions), len(got.letters)) == (1, 1)


@given(_mutated())
def test_a_second_key_is_never_overlooked(value: bytes) -> None:
    """The quick way of looking agrees with reading every pair of every object."""

    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        doubled.append(len({key for key, _ in found}) < len(found))
        return dict(found)

    doubled: list[bool] = []
    json.loads(value, object_pairs_hook=pairs)
    if any(doubled):
        assert _decoded(value) is None


@given(st.dictionaries(_TEXT, _JSON, max_size=5), st.randoms(), st.sampled_from([None, 1, "\t"]))
def test_content_is_the_same_in_any_spelling(
    unknown: dict[str, Any], chance: Any, indent: int | str | None
) -> None:
    """Key order, spacing and unknown fields never change the content hash."""
    known = application()
    unknown = {k: v for k, v in unknown.items() if k not in Application.__struct_fields__}
    items = [*known.items(), *unknown.items()]
    chance.shuffle(items)
    try:
        value = json.dumps(dict(items), indent=indent, allow_nan=False).encode()
    except ValueError:  # NaN and infinity are not JSON
        return
    expected = content_sha256(decode_application(SOUND))
    assert expected == content_sha256(decode_application(value))


@given(
    st.integers(1, 10**13),
    st.integers(1, 480),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}", fullmatch=True).filter(str.isascii),
    st.none() | st.integers(0, 10**13),
)
def test_an_application_survives_its_own_encoding(
    amount_fen: int, term: int, application_id: str, income_fen: int | None
) -> None:
    """What is encoded decodes to the same record and encodes to the same bytes."""
    app = decode_application(
        application_bytes(
            requested_amount_fen=amount_fen,
            term_months=term,
            application_id=application_id,
            declared={"annual_income_fen": "absent" if income_fen is None else income_fen},
        )
    )
    value = encode_application(app)
    assert app == decode_application(value)
    assert value == encode_application(decode_application(value))


_VALUES = st.none() | st.binary(max_size=40) | _TEXT


@given(st.none() | st.binary(max_size=64), st.lists(st.tuples(_TEXT, _VALUES), max_size=6))
def test_any_made_up_envelope_is_poison(
    key: bytes | None, headers: list[tuple[str, str | bytes | None]]
) -> None:
    """No key and no headers raise anything but PoisonError, and none passes by chance."""
    app = decode_application(SOUND)
    with pytest.raises(PoisonError, match=r"^(wrong_key|invalid): (key|header schema_version)"):
        check_envelope(app, key, headers)


@given(
    st.lists(
        st.tuples(_FIELDS, st.text(max_size=70) | st.just("ok_code\nok_code") | _JSON), max_size=6
    )
)
def test_a_batch_is_decoded_as_its_records_one_by_one(faults: list[tuple[str, Any]]) -> None:
    """Whatever stands in some of the records, each is the same application or the same poison."""
    values = [application_bytes()] + [
        json.dumps(application() | {field: value}).encode() for field, value in faults
    ]
    expected = [_one(value) for value in values]
    assert expected == [_told(each) for each in decode_batch(values)]


def _one(value: bytes) -> Any:
    try:
        return _told(decode_canonical(value))
    except PoisonError as error:
        return _told(error)


def _told(found: Any) -> Any:
    if isinstance(found, PoisonError):
        return found.reason, found.field, found.detail
    return msgspec.to_builtins(found[0]), found[1]
