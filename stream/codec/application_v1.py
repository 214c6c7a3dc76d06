"""`loan.applications`, version 1: bytes to an application, or the exact reason why not."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

import msgspec

from stream.codec.headers import SCHEMA_VERSION
from stream.domain.application import Application
from stream.domain.instant import to_ms
from stream.errors import PoisonError
from stream.limits import JSON_DEPTH_MAX, RECORD_BYTES_MAX

_decoder = msgspec.json.Decoder(Application)
_encoder = msgspec.json.Encoder()
_AT = re.compile(r" - at `\$\.?(?P<field>[^`]*)`")
_NOT_JSON = "not one UTF-8 JSON object"
_GUARDED = (
    b'"requested_amount_fen"',
    b'"applicant_token"',
    b'"application_id"',
    b'"term_months"',
    b'"segment"',
    b'"automated_decision"',
    b'"expires_at"',
    b'"annual_income_fen"',
    b'"monthly_debt_fen"',
)
"""Keys whose repetition would let two readers see two different applications."""


def decode_application(value: bytes) -> Application:
    """Decode and validate one record value; PoisonError names the field and what was expected."""
    if len(value) > RECORD_BYTES_MAX:
        detail = f"{len(value)} bytes, expected at most {RECORD_BYTES_MAX}"
        raise PoisonError("oversize", "$", detail)
    _refuse_deep(value)
    try:
        application = _decoder.decode(value)
    except msgspec.ValidationError as error:
        raise _invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PoisonError("unreadable", "$", _NOT_JSON) from None
    _refuse_repeated_keys(value)
    _check_instants(application)
    return application


def encode_application(application: Application) -> bytes:
    """The canonical bytes of an application: known fields only, in the record's order."""
    return _encoder.encode(application)


def content_sha256(application: Application) -> str:
    """Identity of an application's content, whatever the spacing or key order it came in."""
    return hashlib.sha256(_encoder.encode(application)).hexdigest()


def check_envelope(
    application: Application, key: bytes | None, headers: Sequence[tuple[str, str | bytes | None]]
) -> None:
    """PoisonError when key or schema version header do not belong to the application."""
    if key != application.applicant_token.encode():
        shape = "no key" if key is None else f"{len(key)} bytes"
        raise PoisonError("wrong_key", "key", f"{shape}, expected the applicant_token")
    version = next((v for name, v in headers if name == "schema_version"), None)
    if version != SCHEMA_VERSION.encode():
        shape = "absent" if version is None else f"{len(version)} bytes"
        detail = f"{shape}, expected {SCHEMA_VERSION}"
        raise PoisonError("invalid", "header schema_version", detail)


def _refuse_deep(value: bytes) -> None:
    opened = value.count(b"{") + value.count(b"[")
    if opened <= JSON_DEPTH_MAX:
        return
    depth = deepest = 0
    for byte in value:
        if byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    if deepest > JSON_DEPTH_MAX:
        raise PoisonError("unreadable", "$", f"nested deeper than {JSON_DEPTH_MAX}")


def _refuse_repeated_keys(value: bytes) -> None:
    if b"\\u" in value:
        try:
            # Unknown fields hold what the decoder skipped unread: any bytes, numbers of any length.
            json.loads(value, object_pairs_hook=_unique, parse_int=str)
        except ValueError:
            raise PoisonError("unreadable", "$", _NOT_JSON) from None
        return
    for key in _GUARDED:
        if value.count(key) > 1:
            raise PoisonError("invalid", key.decode().strip('"'), "key given more than once")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PoisonError("invalid", "$", "a key given more than once")
    return found


def _check_instants(application: Application) -> None:
    authorization = application.authorization
    submitted = _instant("submitted_at", application.submitted_at)
    _instant("authorization.signed_at", authorization.signed_at)
    _instant("authorization.expires_at", authorization.expires_at)
    if application.decide_by is None:
        return
    if _instant("decide_by", application.decide_by) <= submitted:
        raise PoisonError("invalid", "decide_by", "not after submitted_at")


def _instant(field: str, text: str) -> int:
    try:
        return to_ms(text)
    except ValueError:
        detail = f"{len(text)} characters, expected RFC 3339 with a zone"
        raise PoisonError("invalid", field, detail) from None


def _invalid(error: msgspec.ValidationError) -> PoisonError:
    """Turn the decoder's message into field and expectation; it never quotes a value of ours."""
    text = str(error)
    found = _AT.search(text)
    field = found["field"] if found else "$"
    detail = _AT.sub("", text)
    if detail.startswith("Invalid enum value"):
        detail = "not one of the allowed values"
    missing = re.match(r"Object missing required field `([^`]+)`", detail)
    if missing:
        field = f"{field}.{missing[1]}" if field and field != "$" else missing[1]
        detail = "missing"
    return PoisonError("invalid", field or "$", detail)
