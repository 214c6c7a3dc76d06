"""The catalogue of bad applications: what came in, and the dead letter it must become.

Families: A bytes, B structure, C numbers, D text, E time, F semantics, G size.
A canary stands where a person's data could; no dead letter may ever repeat it.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from builders import application_bytes, raw
from policy_cases import TOKEN

from stream.limits import JSON_DEPTH_MAX, RECORD_BYTES_MAX
from stream.ports import Record

CANARY = "canary.zhang.110101199003074258"
"""A name and a national id as they must never come back: dots keep it a well-formed id."""


class Bad(NamedTuple):
    """One bad record with the reason and field of its dead letter."""

    name: str
    record: Record
    reason: str
    field: str


_SOUND = application_bytes()
_TWICE = {
    "application_id": '"app-00000002"',
    "applicant_token": f'"{TOKEN}"',
    "requested_amount_fen": "1",
    "term_months": "1",
    "segment": '"farmer"',
}
_REQUIRED = (
    "application_id", "applicant_token", "channel", "segment", "product_code",
    "requested_amount_fen", "currency", "term_months", "loan_purpose", "submitted_at",
    "authorization", "declared",
)  # fmt: skip
_REQUIRED_WITHIN = (
    "authorization_id", "scope", "signed_at", "expires_at", "automated_decision",
)  # fmt: skip


def _with(member: bytes) -> bytes:
    """The sound application with one more member of raw JSON at its end."""
    return _SOUND[:-1] + b"," + member + b"}"


def _amount(literal: bytes) -> bytes:
    """The sound application with its amount spelt as `literal`."""
    return _SOUND.replace(b'"requested_amount_fen":5000000', b'"requested_amount_fen":' + literal)


_UNREADABLE: dict[str, bytes | None] = {
    "A empty value": b"",
    "A null value": None,
    "A spaces only": b"   \n\t ",
    "A random bytes": bytes(range(256)) * 8,
    "A byte order mark": b"\xef\xbb\xbf" + _SOUND,
    "A UTF-16": _SOUND.decode().encode("utf-16"),
    "A byte 0xFF": b"\xff",
    "A overlong slash": _SOUND.replace(b"appliances", b"appl\xc0\xafnces"),
    "A CESU surrogate": _SOUND.replace(b"appliances", b"app\xed\xa0\x80"),
    "A raw NUL": _SOUND.replace(b"appliances", b"app\x00"),
    "A gzip": gzip.compress(_SOUND, mtime=0),
    "A broken UTF-8 beside an escape": _with(b'"note":"\xff","more":"\\u0061"'),
    "B trailing text": _SOUND + b"x",
    "B two documents": _SOUND + _SOUND,
    "B trailing comma": _SOUND[:-1] + b",}",
    "B comment": b"/* note */" + _SOUND,
    "B single quotes": _SOUND.replace(b'"', b"'"),
    "B nested one too deep": _with(b'"x":' + b"[" * JSON_DEPTH_MAX + b"]" * JSON_DEPTH_MAX),
    "B nested 1,000 deep": _with(b'"x":' + b"[" * 1_000 + b"]" * 1_000),
    "B opened 20,000 times": b"[" * 20_000,
    "C NaN": _amount(b"NaN"),
    "C Infinity": _amount(b"Infinity"),
    "D lone surrogate": _SOUND.replace(b"appliances", b"\\ud800"),
    "D unknown escape": _SOUND.replace(b"appliances", b"\\q"),
}

_INVALID_BYTES: dict[str, tuple[bytes, str]] = {
    "B top level null": (b"null", "$"),
    "B top level number": (b"42", "$"),
    "B top level text": (f'"{CANARY}"'.encode(), "$"),
    "B top level array": (b"[]", "$"),
    "B empty object": (b"{}", "application_id"),
    "B key in other case": (_SOUND.replace(b'"segment"', b'"Segment"'), "segment"),
    "B key twice through an escape": (
        _with(b'"\\u0061pplication_id":"app-00000002"'),
        "application_id",
    ),
    "B escaped key twice within": (_with(b'"x":{"a":1,"\\u0061":2}'), "$"),
    "C 1e400": (_amount(b"1e400"), "requested_amount_fen"),
    "C 1e-400": (_amount(b"1e-400"), "requested_amount_fen"),
    "C 2^64": (_amount(b"18446744073709551616"), "requested_amount_fen"),
    "C -2^63-1": (_amount(b"-9223372036854775809"), "requested_amount_fen"),
    "C 100 digits": (_amount(b"9" * 100), "requested_amount_fen"),
    "C 5,000 digits": (_amount(b"9" * 5_000), "requested_amount_fen"),
    "C zero": (_amount(b"0"), "requested_amount_fen"),
    "C minus zero": (_amount(b"-0"), "requested_amount_fen"),
    "C minus zero point zero": (_amount(b"-0.0"), "requested_amount_fen"),
    "C hexadecimal": (_amount(b"0x4c4b40"), "requested_amount_fen"),
    "C negative": (_amount(b"-5000000"), "requested_amount_fen"),
    "C fraction of a fen": (_amount(b"5000000.5"), "requested_amount_fen"),
    "C exponent": (_amount(b"5e6"), "requested_amount_fen"),
    "C over float32": (_amount(b"3.5e38"), "requested_amount_fen"),
    "C over the bound": (_amount(b"10000000000001"), "requested_amount_fen"),
}

_INVALID_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "C number as text": ({"requested_amount_fen": "5000000"}, "requested_amount_fen"),
    "C true as number": ({"requested_amount_fen": True}, "requested_amount_fen"),
    "C id as number": ({"application_id": 2**53 + 1}, "application_id"),
    "C term 0": ({"term_months": 0}, "term_months"),
    "C term 481": ({"term_months": 481}, "term_months"),
    "C income negative": (
        {"declared": {"annual_income_fen": -1}}, "declared.annual_income_fen",
    ),
    "C employment as fraction": (
        {"declared": {"employment_years": 1.5}}, "declared.employment_years",
    ),
    "D NUL in an id": ({"application_id": "app-\x00" + CANARY}, "application_id"),
    "D full-width digits": ({"application_id": "\uff11" * 10}, "application_id"),
    "D Arabic-Indic digits": ({"application_id": "\u0661" * 10}, "application_id"),
    "D zero-width": ({"application_id": "app\u200b-00000001"}, "application_id"),
    "D right-to-left override": ({"application_id": "\u202eapp-00000001"}, "application_id"),
    "D line feed at the end": ({"application_id": "app-00000001\n"}, "application_id"),
    "D CR LF in an id": ({"application_id": f"app\r\n{CANARY}"}, "application_id"),
    "D spaces around an id": ({"application_id": f" {CANARY} "}, "application_id"),
    "D 10 kB id": ({"application_id": CANARY * 350}, "application_id"),
    "D formula": ({"application_id": "=cmd|' /C calc'!A0"}, "application_id"),
    "D lookup": ({"application_id": "${jndi:ldap://x/a}"}, "application_id"),
    "D format": ({"application_id": "%s%s%s%s{0}"}, "application_id"),
    "D decomposed purpose": ({"loan_purpose": "caf\u0065\u0301"}, "loan_purpose"),
    "D national id as token": ({"applicant_token": CANARY}, "applicant_token"),
    "D name as purpose": ({"loan_purpose": CANARY}, "loan_purpose"),
    "D token in capitals": ({"applicant_token": TOKEN.upper()}, "applicant_token"),
    "D token of version 0": ({"applicant_token": TOKEN.replace("a1", "a0")}, "applicant_token"),
    "E 29 February 2027": ({"submitted_at": "2027-02-29T08:00:00Z"}, "submitted_at"),
    "E no zone": ({"submitted_at": "2026-11-24T08:00:00.000"}, "submitted_at"),
    "E zone +25:00": ({"submitted_at": "2026-11-24T08:00:00+25:00"}, "submitted_at"),
    "E second 60": ({"submitted_at": "2026-11-24T08:00:60Z"}, "submitted_at"),
    "E hour 24": ({"submitted_at": "2026-11-24T24:00:00Z"}, "submitted_at"),
    "E year 10000": ({"submitted_at": "10000-11-24T08:00:00Z"}, "submitted_at"),
    "E year 0": ({"submitted_at": "0000-11-24T08:00:00Z"}, "submitted_at"),
    "E epoch seconds": ({"submitted_at": 1795507200}, "submitted_at"),
    "E words": ({"submitted_at": f"today, {CANARY[:20]}"}, "submitted_at"),
    "E tomorrow": ({"submitted_at": "2026-11-25T08:00:00Z"}, "submitted_at"),
    "E past the skew": ({"submitted_at": "2026-11-24T08:06:00.001Z"}, "submitted_at"),
    "E due before submitted": ({"decide_by": "2026-11-24T07:59:59Z"}, "decide_by"),
    "E due when submitted": ({"decide_by": "2026-11-24T08:00:00Z"}, "decide_by"),
    "E signed at midnight": (
        {"authorization": {"signed_at": "midnight, or thereabouts"}}, "authorization.signed_at",
    ),
    "E expires never": (
        {"authorization": {"expires_at": "never, as far as I know"}}, "authorization.expires_at",
    ),
    "F unknown channel": ({"channel": CANARY}, "channel"),
    "F unknown segment": ({"segment": CANARY}, "segment"),
    "F currency in words": ({"currency": "renminbi"}, "currency"),
    "F consent as text": (
        {"authorization": {"automated_decision": "true"}}, "authorization.automated_decision",
    ),
    "F consent as number": (
        {"authorization": {"automated_decision": 1}}, "authorization.automated_decision",
    ),
}  # fmt: skip

_ENVELOPES: dict[str, tuple[dict[str, Any], str, str]] = {
    "F key of another": ({"key": b"a1_" + b"f" * 32}, "wrong_key", "key"),
    "F key is the application id": ({"key": b"app-00000001"}, "wrong_key", "key"),
    "F key is a national id": ({"key": CANARY.encode()}, "wrong_key", "key"),
    "F null key": ({"key": None}, "wrong_key", "key"),
    "F empty key": ({"key": b""}, "wrong_key", "key"),
    "F no version": ({"headers": ()}, "invalid", "header schema_version"),
    "F version null": (
        {"headers": (("schema_version", None),)}, "invalid", "header schema_version",
    ),
    "F version 2": ({"headers": (("schema_version", b"2"),)}, "invalid", "header schema_version"),
    "F version 0": ({"headers": (("schema_version", b"0"),)}, "invalid", "header schema_version"),
    "F version not UTF-8": (
        {"headers": (("schema_version", b"\xff\xfe"),)}, "invalid", "header schema_version",
    ),
    "F version is a name": (
        {"headers": (("schema_version", CANARY.encode()),)}, "invalid", "header schema_version",
    ),
    "F 1,000 headers and no version": (
        {"headers": [(f"h{i}", b"\xff" * 64) for i in range(1_000)]},
        "invalid", "header schema_version",
    ),
}  # fmt: skip


def _catalogue() -> Iterator[Bad]:
    for name, value in _UNREADABLE.items():
        yield Bad(name, raw(value), "unreadable", "$")
    for name, (sent, field) in _INVALID_BYTES.items():
        yield Bad(name, raw(sent), "invalid", field)
    for name, (changes, field) in _INVALID_FIELDS.items():
        yield Bad(name, raw(application_bytes(**changes)), "invalid", field)
    for name, (envelope, reason, field) in _ENVELOPES.items():
        yield Bad(name, raw(_SOUND, **envelope), reason, field)
    for field, literal in _TWICE.items():
        again = _with(f'"{field}":{literal}'.encode())
        yield Bad(f"B {field} twice", raw(again), "invalid", field)
    consent = _SOUND.replace(
        b'"automated_decision":true', b'"automated_decision":false,"automated_decision":true'
    )
    yield Bad("B consent withheld, then given", raw(consent), "invalid", "automated_decision")
    for field in _REQUIRED:
        yield Bad(f"F no {field}", raw(application_bytes(**{field: "absent"})), "invalid", field)
        yield Bad(f"F {field} null", raw(application_bytes(**{field: None})), "invalid", field)
        yield Bad(f"F {field} a list", raw(application_bytes(**{field: []})), "invalid", field)
    for within in _REQUIRED_WITHIN:
        field = f"authorization.{within}"
        for kind, value in (("absent", "absent"), ("null", None), ("object", {"a": CANARY})):
            sent = application_bytes(authorization={within: value})
            yield Bad(f"F {field} {kind}", raw(sent), "invalid", field)
    over = _with(b'"note":"' + b"x" * RECORD_BYTES_MAX + b'"')
    yield Bad("G over the size", raw(over), "oversize", "$")
    yield Bad("G one byte over", raw(at_size(RECORD_BYTES_MAX + 1)), "oversize", "$")
    yield Bad("G one megabyte", raw(_with(b'"x":"' + b"y" * 2**20 + b'"')), "oversize", "$")
    yield Bad("G 300,000 elements", raw(_with(b'"x":[' + b"0," * 300_000 + b"0]")), "oversize", "$")


def at_size(size: int) -> bytes:
    """The sound application, padded with an unknown field to `size` bytes exactly."""
    frame = _with(b'"note":""')
    return frame[:-2] + b"x" * (size - len(frame)) + frame[-2:]


BAD: Sequence[Bad] = tuple(_catalogue())

ACCEPTED: dict[str, bytes] = {
    "unknown fields": _with(b'"note":"x","more":{"a":[1,2]}'),
    "10,000 digits in an unknown field": _with(b'"x":' + b"1" * 10_000),
    "the same beside an escape": _with(b'"x":' + b"1" * 10_000 + b',"y":"\\u0061"'),
    "prototype names": _with(b'"__proto__":{"a":1},"__class__":"x","":0'),
    "4,000 unknown keys": _with(b",".join(b'"k%d":0' % i for i in range(4_000))),
    "spaces between": b" \n" + _SOUND.replace(b",", b" ,\t").replace(b":{", b" : {") + b" ",
    "an escaped value": _SOUND.replace(b"appliances", b"\\u0061ppliances"),
    "exactly the size": at_size(RECORD_BYTES_MAX),
    "a zone of +08:00": application_bytes(submitted_at="2026-11-24T16:00:00+08:00"),
    "a depth of exactly the limit": _with(
        b'"x":' + b"[" * (JSON_DEPTH_MAX - 1) + b"]" * (JSON_DEPTH_MAX - 1)
    ),
}
"""Unusual and yet sound: additive changes are compatible, so unknown fields are ignored."""
