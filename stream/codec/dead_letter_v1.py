"""`loan.applications.dlq`, version 1: the original bytes, sealed, with why and where beside them.

What a record was beside its value, its key and headers, goes along in the header
`x-origin-envelope`. Value and envelope are sealed with the configured key.
Without one nothing of the record is kept but its outline (`stream/codec/outline.py`)
and the hash of its value: a broken record may hold anything, and these letters
stay for longer than the topic it came from. The Kafka key of a dead letter is the
applicant token, or nothing.

The headers lie in the open and whoever may write the topic may change them. So the
envelope repeats the reason and holds what the record was before; where a letter is
sent again, the sealed word counts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from stream.codec.headers import Headers, cloud_event
from stream.codec.outline import PLACE, Outline, outline_of, read_outline
from stream.codec.seal import SCHEME, KeyMissingError, Sealer, SealError, Sealers
from stream.domain.instant import from_ms, to_ms
from stream.errors import PoisonError, TenMinuteError
from stream.limits import DEAD_LETTER_BYTES_MAX
from stream.ports import Record

TYPE: Final = "loan.application.dead_letter.v1"
UNSEALED: Final = "none"
REASONS: Final = ("unreadable", "invalid", "conflict", "oversize", "wrong_key")
"""All there are; a letter with another is not the engine's."""

REPLAYED_FROM: Final = "x-replayed-from"
"""Header of a record sent again: partition and offset of the dead letter it was."""

ENVELOPE_BYTES_MAX: Final = 64 * 1024
"""Key and headers kept; a real record's are under 1 kB. With the value they fit 1 MB by far."""

_TOKEN: Final = re.compile(rb"a[1-9][0-9]?_[0-9a-f]{32}")
_Header = tuple[str, bytes | None]


class DeadLetterError(TenMinuteError):
    """A record that is no dead letter, or whose content does not match what it says of itself."""


class NotKeptError(DeadLetterError):
    """A dead letter of an engine without a key: there is nothing in it to give back."""


class Original(NamedTuple):
    """The record as it was before it became a dead letter."""

    key: bytes | None
    value: bytes | None
    headers: tuple[_Header, ...]


class DeadLetter(NamedTuple):
    """What a dead letter says of itself; `kept` and `envelope` stay closed until opened.

    `outline` stands for both where nothing was kept.
    """

    reason: str
    field: str
    detail: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    at: str
    sha256: str
    truncated: bool
    encryption: str
    key_id: str | None
    replayed_from: str | None
    kept: bytes
    envelope: str | None
    outline: Outline | None

    @property
    def origin(self) -> str:
        """Where the record was: topic, partition and offset."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def sealed(self) -> bool:
        """Whether a key is needed to read it."""
        return self.encryption != UNSEALED


class _Envelope(msgspec.Struct, frozen=True):
    key: bytes | None
    headers: tuple[_Header, ...]
    tombstone: bool
    reason: str | None = None
    """None only in the open, where a release before this one wrote it."""


_envelope = msgspec.json.Decoder(_Envelope)


def encode_dead_letter(
    record: Record, error: PoisonError, now_ms: int, sealer: Sealer | None
) -> tuple[bytes, Headers]:
    """Value and headers of the dead letter of one record; too big a part is cut, its hash kept.

    Without a sealer the value is empty and the headers hold the record's outline.
    """
    value = record.value or b""
    origin = f"{record.topic}/{record.partition}/{record.offset}"
    headers = cloud_event(TYPE, "/engine", origin, from_ms(now_ms))
    headers += [
        ("x-error-reason", error.reason.encode()),
        ("x-error-field", error.field.encode()),
        ("x-error-detail", error.detail.encode()),
        ("x-origin-topic", record.topic.encode()),
        ("x-origin-partition", str(record.partition).encode()),
        ("x-origin-offset", str(record.offset).encode()),
        ("x-origin-timestamp-ms", str(record.timestamp_ms).encode()),
        ("x-sha256", hashlib.sha256(value).hexdigest().encode()),
        ("x-encryption", (SCHEME if sealer else UNSEALED).encode()),
    ]
    headers += _lineage(record)
    if sealer is None:
        return b"", [*headers, ("x-origin-outline", outline_of(record))]
    return sealer.seal(value[:DEAD_LETTER_BYTES_MAX], origin), headers + _sealed(
        record, error, sealer
    )


def dead_letter_key(key: bytes | None) -> bytes | None:
    """The Kafka key of a dead letter: the record's own where it is an applicant token."""
    return key if key is not None and _TOKEN.fullmatch(key) else None


def decode_dead_letter(record: Record) -> DeadLetter:
    """What a record of the dead-letter topic says; DeadLetterError when it is no dead letter."""
    named = {name: _text(value) for name, value in record.headers}
    try:
        to_ms(named["ce_time"])
        return DeadLetter(
            reason=named["x-error-reason"],
            field=named["x-error-field"],
            detail=named["x-error-detail"],
            topic=named["x-origin-topic"],
            partition=int(named["x-origin-partition"]),
            offset=int(named["x-origin-offset"]),
            timestamp_ms=int(named["x-origin-timestamp-ms"]),
            at=named["ce_time"],
            sha256=named["x-sha256"],
            truncated="x-truncated" in named,
            encryption=named.get("x-encryption", UNSEALED),
            key_id=named.get("x-key-id"),
            replayed_from=named.get(REPLAYED_FROM),
            kept=record.value or b"",
            envelope=named.get("x-origin-envelope"),
            outline=read_outline(named["x-origin-outline"])
            if "x-origin-outline" in named
            else None,
        )
    except KeyError as error:
        raise DeadLetterError(f"no dead letter: header {error.args[0]} is missing") from None
    except ValueError:
        raise DeadLetterError("no dead letter: its origin, time or outline is none") from None


def open_dead_letter(letter: DeadLetter, sealers: Sealers) -> Original:
    """The original record, checked against its hash; of a cut value, the part that was kept.

    SealError where a key is missing or does not open it, DeadLetterError where it does not match,
    NotKeptError where there is nothing to open.
    """
    if letter.outline is not None:
        raise NotKeptError(f"{letter.origin}: not kept, the engine had no dead_letter_key_file")
    value = _opened(letter, letter.kept, letter.origin, sealers)
    if not letter.truncated and hashlib.sha256(value).hexdigest() != letter.sha256:
        raise DeadLetterError(f"{letter.origin}: the bytes do not match x-sha256")
    if letter.envelope is None:
        return Original(None, value, ())
    envelope = _unpacked(letter, letter.envelope, sealers)
    if letter.sealed and envelope.reason != letter.reason:
        raise DeadLetterError(f"{letter.origin}: x-error-reason is not the one it was sealed with")
    return Original(envelope.key, None if envelope.tombstone else value, envelope.headers)


def sealed_origin(letter: DeadLetter, sealers: Sealers) -> str | None:
    """The dead letter that this one's record was before, by its sealed word; None without one.

    SealError and DeadLetterError as from open_dead_letter.
    """
    if not letter.sealed or letter.envelope is None:
        return None
    place = _place_in(_unpacked(letter, letter.envelope, sealers).headers)
    return place.decode() if place is not None else None


def _unpacked(letter: DeadLetter, envelope: str, sealers: Sealers) -> _Envelope:
    try:
        packed = base64.b64decode(envelope, validate=True)
        return _envelope.decode(_opened(letter, packed, _beside(letter.origin), sealers))
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise DeadLetterError(f"{letter.origin}: x-origin-envelope cannot be read") from None


def _opened(letter: DeadLetter, kept: bytes, origin: str, sealers: Sealers) -> bytes:
    if not letter.sealed:
        return kept
    if letter.encryption != SCHEME:
        raise SealError(f"{letter.origin}: sealed as {letter.encryption}, which is unknown here")
    sealer = sealers.get(letter.key_id or "")
    if sealer is None:
        raise KeyMissingError(
            f"{letter.origin}: sealed with key {letter.key_id}, which is not at hand"
        )
    return sealer.open(kept, origin)


def _sealed(record: Record, error: PoisonError, sealer: Sealer) -> Headers:
    """Headers that only a sealed letter has: its key's id, the envelope, and whether it was cut."""
    headers: Headers = [("x-key-id", sealer.key_id.encode())]
    envelope = _envelope_of(record, error.reason)
    fits = len(envelope) <= ENVELOPE_BYTES_MAX
    if fits:
        origin = f"{record.topic}/{record.partition}/{record.offset}"
        kept = sealer.seal(envelope, _beside(origin))
        headers.append(("x-origin-envelope", base64.b64encode(kept)))
    if len(record.value or b"") > DEAD_LETTER_BYTES_MAX or not fits:
        headers.append(("x-truncated", b"1"))
    return headers


def _envelope_of(record: Record, reason: str) -> bytes:
    headers = tuple(
        (name, value.encode() if isinstance(value, str) else value)
        for name, value in record.headers
    )
    return msgspec.json.encode(_Envelope(record.key, headers, record.value is None, reason))


def _lineage(record: Record) -> Headers:
    """Which dead letter this record was before, so that a replay sends each once."""
    place = _place_in(record.headers)
    return [(REPLAYED_FROM, place)] if place is not None else []


def _place_in(headers: Iterable[tuple[str, str | bytes | None]]) -> bytes | None:
    """The first place, in its form, that headers name as the letter a record was."""
    for name, value in headers:
        place = value.encode() if isinstance(value, str) else value
        if name == REPLAYED_FROM and place is not None and PLACE.fullmatch(place):
            return place
    return None


def _beside(origin: str) -> str:
    """Associated data of the envelope: never that of a value."""
    return f"{origin}#envelope"


def _text(value: str | bytes | None) -> str:
    return value if isinstance(value, str) else (value or b"").decode("utf-8", "replace")
