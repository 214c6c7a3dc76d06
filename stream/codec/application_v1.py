"""`loan.applications`, version 1: bytes to an application, or the exact reason why not."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from itertools import accumulate

import msgspec

from stream.codec.headers import SCHEMA_VERSION
from stream.codec.plain import Shapes, plain_twin
from stream.domain.application import Application, Authorization, Declared
from stream.domain.instant import to_ms
from stream.errors import PoisonError
from stream.limits import JSON_DEPTH_MAX, RECORD_BYTES_MAX

Decoded = tuple[Application, bytes]
"""An application and its canonical bytes."""

_decoder = msgspec.json.Decoder(Application)
_plain = msgspec.json.Decoder(plain_twin(Application, lengths=True))
_shapes = Shapes(Application)
_FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_encoder = msgspec.json.Encoder()
_AT = re.compile(r" - at `\$\.?(?P<field>[^`]*)`")
_VERSION = SCHEMA_VERSION.encode()
_NOT_JSON = "not one UTF-8 JSON object"
_FIELDS = frozenset(Application.__struct_fields__)
_FIELDS_WITHIN = {
    "authorization": frozenset(Authorization.__struct_fields__),
    "declared": frozenset(Declared.__struct_fields__),
}
_KNOWN = _FIELDS.union(*_FIELDS_WITHIN.values())
_STEP = [(byte in b"{[") - (byte in b"}]") for byte in range(256)]
"""What each byte does to the depth of nesting."""


def decode_application(value: bytes) -> Application:
    """Decode and validate one record value; PoisonError names the field and what was expected."""
    return decode_canonical(value)[0]


def decode_canonical(value: bytes) -> Decoded:
    """The application in a record value, and its canonical bytes."""
    refuse_oversize(value)
    try:
        application = _decoder.decode(value)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PoisonError("unreadable", "$", _NOT_JSON) from None
    return _checked(value, application)


def decode_batch(values: Sequence[bytes]) -> list[Decoded | PoisonError]:
    """Of each value what `decode_canonical` returns or raises; shapes of texts in one look."""
    plain: list[Application | None] = []
    for value in values:
        try:
            plain.append(_plain.decode(value) if len(value) <= RECORD_BYTES_MAX else None)
        except _FAULTS:
            plain.append(None)
    sound = [place for place, each in enumerate(plain) if each is not None]
    for place in _misshapen(plain, sound):
        plain[place] = None
    found: list[Decoded | PoisonError] = []
    for value, application in zip(values, plain, strict=True):
        try:
            if application is None:  # decoded again, to say what is wrong with it
                found.append(decode_canonical(value))
            else:
                found.append(_checked(value, application))
        except PoisonError as error:
            found.append(error)
    return found


def _misshapen(plain: Sequence[Application | None], places: Sequence[int]) -> list[int]:
    """The places among these where a text is not of its shape, looked for by halves."""
    if _shapes.hold([app for place in places if (app := plain[place]) is not None]):
        return []
    if len(places) == 1:
        return list(places)
    half = len(places) // 2
    return _misshapen(plain, places[:half]) + _misshapen(plain, places[half:])


def _checked(value: bytes, application: Application) -> Decoded:
    canonical = _encoder.encode(application)
    # Nothing spells an application shorter than its canonical bytes, so at equal length there is
    # no room for a second or an unknown key: the usual case, at a tenth of the cost of looking.
    if len(value) != len(canonical):
        refuse_oversize(value)
        _check_keys(value)
    _check_instants(application)
    return application, canonical


def encode_application(application: Application) -> bytes:
    """The canonical bytes of an application: known fields only, in the record's order."""
    return _encoder.encode(application)


def content_sha256(application: Application) -> str:
    """Identity of an application's content, whatever the spacing or key order it came in."""
    return sha256_hex(_encoder.encode(application))


def sha256_hex(canonical: bytes) -> str:
    """`content_sha256` of an application by its canonical bytes."""
    return hashlib.sha256(canonical).hexdigest()


def check_envelope(
    application: Application, key: bytes | None, headers: Sequence[tuple[str, str | bytes | None]]
) -> None:
    """PoisonError when key or schema version header do not belong to the application."""
    if key != application.applicant_token.encode():
        shape = "no key" if key is None else f"{len(key)} bytes"
        raise PoisonError("wrong_key", "key", f"{shape}, expected the applicant_token")
    check_header(headers)


def check_header(headers: Sequence[tuple[str, str | bytes | None]]) -> None:
    """PoisonError when the schema version header is absent or another."""
    version = None
    for name, value in headers:
        if name == "schema_version":
            version = value
            break
    if version != _VERSION:
        shape = "absent" if version is None else f"{len(version)} bytes"
        detail = f"{shape}, expected {SCHEMA_VERSION}"
        raise PoisonError("invalid", "header schema_version", detail)


def refuse_oversize(value: bytes) -> None:
    """PoisonError when a value is larger or nested deeper than any honest record."""
    if len(value) > RECORD_BYTES_MAX:
        detail = f"{len(value)} bytes, expected at most {RECORD_BYTES_MAX}"
        raise PoisonError("oversize", "$", detail)
    if value.count(b"{") + value.count(b"[") <= JSON_DEPTH_MAX:
        return
    if max(accumulate(map(_STEP.__getitem__, value))) > JSON_DEPTH_MAX:
        raise PoisonError("unreadable", "$", f"nested deeper than {JSON_DEPTH_MAX}")


def _check_keys(value: bytes) -> None:
    """Refuse what another reader may read otherwise: a key twice, or a known one in other case."""
    try:
        text = value.decode()
        if _has_plain_keys(text):
            return
        # Unknown fields hold what the decoder skipped unread: numbers of any length, for one.
        document = json.loads(text, object_pairs_hook=_unique, parse_int=str)
    except ValueError:
        raise PoisonError("unreadable", "$", _NOT_JSON) from None
    _refuse_other_case(document, _FIELDS)
    for name, fields in _FIELDS_WITHIN.items():
        _refuse_other_case(document[name], fields)


def _has_plain_keys(text: str) -> bool:
    """Whether all keys of valid JSON differ and none could be a known one in other case."""
    if "\\" in text or not text.isprintable():
        return False
    # Without an escape, quotes do nothing but delimit strings; those before a colon are keys.
    parts = text.split('"')
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    keys = [string for string, after in pairs if after.lstrip(" ")[:1] == ":"]
    distinct = set(keys)
    unknown = distinct - _KNOWN
    return len(distinct) == len(keys) and not any(key.lower() in _KNOWN for key in unknown)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        known = next((key for key in keys if key in _KNOWN and keys.count(key) > 1), "$")
        raise PoisonError("invalid", known, "key given more than once")
    return found


def _refuse_other_case(keys: Iterable[str], fields: frozenset[str]) -> None:
    """A reader that ignores case would take `Term_Months` for `term_months`; we would not."""
    for key in keys:
        if key not in fields and key.lower() in fields:
            raise PoisonError("invalid", key.lower(), "key spelt in other case")


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


def invalid(error: msgspec.ValidationError) -> PoisonError:
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
