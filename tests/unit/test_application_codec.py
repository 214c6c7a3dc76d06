"""One content has one hash and one canonical form; a key has one spelling and one place."""

from __future__ import annotations

import msgspec
import pytest
from builders import application, application_bytes

from stream.codec.application_v1 import (
    content_sha256,
    decode_application,
    encode_application,
)
from stream.errors import PoisonError

PLAIN = application_bytes()


def _with(member: str) -> bytes:
    """The sound application with one more member at its end."""
    return PLAIN[:-1] + b"," + member.encode() + b"}"


def test_content_is_the_same_in_any_spelling() -> None:
    """Key order, spacing, escapes and unknown fields leave the content hash alone."""
    expected = content_sha256(decode_application(PLAIN))
    turned = msgspec.json.encode(dict(reversed(application().items())))
    odd = b" \n" + PLAIN.replace(b",", b" ,\t").replace(b":{", b" : {") + b" "
    escaped = PLAIN.replace(b"appliances", b"\\u0061ppliances")
    for value in (turned, msgspec.json.format(turned, indent=3), odd, escaped, _with('"note":1')):
        assert expected == content_sha256(decode_application(value))


def test_other_content_has_another_hash() -> None:
    """A changed amount is another application."""
    other = application_bytes(requested_amount_fen=5_000_001)
    assert content_sha256(decode_application(PLAIN)) != content_sha256(decode_application(other))


def test_an_application_survives_its_own_encoding() -> None:
    """Encoding and decoding give back the same record."""
    app = decode_application(application_bytes(decide_by="2026-11-24T08:09:00Z", synthetic=True))
    assert app == decode_application(encode_application(app))


@pytest.mark.parametrize(
    ("member", "field"),
    [
        ('"synthetic":false,"synthetic":false', "synthetic"),
        ('"offer_id":null,"offer_id":null', "offer_id"),
        ('"note":"a,\\"b\\":1","note":2', "$"),
        ('"note":{"declared":1,"declared":2}', "declared"),
        ('"Synthetic":true', "synthetic"),
        ('"x\\u0079":1,"SYNTHETIC":true', "synthetic"),
        ('"declared":{"Sector":"retail"},"declared":{}', "declared"),
        ('"declared" : {"a":"1"}', "declared"),
    ],
)
def test_a_second_key_is_found_wherever_it_is(member: str, field: str) -> None:
    """Defaults, nulls, escapes, text that looks like keys: none of them hides one."""
    with pytest.raises(PoisonError) as caught:
        decode_application(_with(member))
    assert ("invalid", field) == (caught.value.reason, caught.value.field)


@pytest.mark.parametrize(
    "member",
    [
        '"note":"\\"segment\\":1"',
        '"note":"segment: twice, segment: twice"',
        '"a":{"k":1},"b":{"k":2}',
        '"notes":["k","k","k"]',
        '"segment_":1,"Region":2',
        '"更多":{"说明":"：\\"：\\""}',
    ],
)
def test_the_same_text_elsewhere_is_no_second_key(member: str) -> None:
    """Values, keys of other objects and keys that only begin alike are none of it."""
    assert decode_application(_with(member)) == decode_application(PLAIN)
