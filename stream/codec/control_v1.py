"""`decision.control` and `decision.control.acks`, version 1.

A command counts only under a trusted signature over topic, key, value, `ce_id`
and `ce_time`; where a model gets to decide, only under two, of different keys. A
null value, which compaction drops in time, gives a switch back to its default and
is signed like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from enum import StrEnum
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream.codec.headers import Headers, cloud_event
from stream.codec.signatures import Trusted, key_id, sign, verified
from stream.domain.control import Acknowledgement, Action, Command, Scope
from stream.domain.instant import to_ms
from stream.domain.topics import CONTROL
from stream.errors import TenMinuteError
from stream.limits import CLOCK_SKEW_MS_MAX, COUNTERSIGN_MS_MAX
from stream.ports import Record

SIGNATURE: Final = "x-signature"
KEY_ID: Final = "x-key-id"
SECOND: Final = "-2"
"""Ends the header names of a second signature."""

_encoder = msgspec.json.Encoder()
_command = msgspec.json.Decoder(Command)
_ack = msgspec.json.Decoder(Acknowledgement)


class Refusal(StrEnum):
    """Why a record of `decision.control` is not applied."""

    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    UNREADABLE = "unreadable"
    WRONG_SWITCH = "wrong_switch"
    OUT_OF_TIME = "out_of_time"
    UNKNOWN_MODEL = "unknown_model"
    FOUR_EYES = "four_eyes"
    MODEL_REFUSED = "model_refused"
    NOT_IN_FORCE = "not_in_force"
    BEYOND_KEY = "beyond_key"


class CommandRefusedError(TenMinuteError):
    """A record that is no command; `command_id` is known once the signature has been believed."""

    def __init__(self, refusal: Refusal, command_id: str | None = None) -> None:
        """Keep the reason and, when it can be trusted, the id."""
        super().__init__(refusal.value)
        self.refusal = refusal
        self.command_id = command_id


def encode_command(
    command: Command, private: Ed25519PrivateKey, second: Ed25519PrivateKey | None = None
) -> tuple[bytes, bytes, Headers]:
    """Key, value and headers of one command, signed by one key or by two."""
    key, value = command.key.encode(), _encoder.encode(command)
    headers = _signed(key, value, command.command_id, command.issued_at, private)
    if second is not None:
        headers += countersigned(key, value, command, second)
    return key, value, headers


def countersigned(key: bytes, value: bytes, command: Command, second: Ed25519PrivateKey) -> Headers:
    """The headers that a second key adds to a signed command, over the very same bytes."""
    signature = sign(second, *_parts((key, value), command.command_id, command.issued_at))
    return [
        (SIGNATURE + SECOND, signature.encode()),
        (KEY_ID + SECOND, key_id(second.public_key()).encode()),
    ]


def encode_default(
    key: str, command_id: str, issued_at: str, private: Ed25519PrivateKey
) -> tuple[bytes, None, Headers]:
    """A signed tombstone: the switch `key` goes back to its default."""
    return key.encode(), None, _signed(key.encode(), None, command_id, issued_at, private)


def decode_command(record: Record, trusted: Trusted, guards: Set[str] = frozenset()) -> Command:
    """The command of a record; CommandRefusedError for any that must not be applied.

    `guards` are the ids of trusted keys that may tighten, ease what was tightened, and
    end a model's trial, but nothing else.

    The record's time is the broker's: a command may not be dated after it, so
    that none can outrank all later ones, nor long before it, so that an old one
    cannot be played again. A stop is welcome however late, and what two people
    sign may take them a day: an older command never replaces a newer one.
    """
    headers = {name: _text(value) for name, value in record.headers}
    key, value = record.key or b"", record.value
    signers = _checked_signers(headers, (key, value), trusted)
    command_id = headers.get("ce_id", "")
    try:
        if value is None:
            command = _default_of(key.decode(), command_id, headers.get("ce_time", ""), signers[0])
        else:
            command = _command.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise CommandRefusedError(Refusal.UNREADABLE, command_id) from None
    if command.key.encode() != key:
        raise CommandRefusedError(Refusal.WRONG_SWITCH, command_id)
    heard = set(signers) if command.guard_may_give else set(signers) - guards
    if not heard:
        raise CommandRefusedError(Refusal.BEYOND_KEY, command_id)
    if len(heard) < command.signatures:
        raise CommandRefusedError(Refusal.FOUR_EYES, command_id)
    late_ms = record.timestamp_ms - to_ms(command.issued_at)
    late_max_ms = COUNTERSIGN_MS_MAX if command.signatures > 1 else CLOCK_SKEW_MS_MAX
    too_late = late_ms > late_max_ms and command.action is not Action.STOP
    if too_late or late_ms < -CLOCK_SKEW_MS_MAX:
        raise CommandRefusedError(Refusal.OUT_OF_TIME, command_id)
    return command


def encode_ack(ack: Acknowledgement) -> tuple[bytes, bytes, Headers]:
    """Key, value and headers of one acknowledgement; the key is the worker."""
    event_id = f"{ack.worker}/{ack.control_offset}/{ack.applied_at}"
    headers = cloud_event("loan.control.ack.v1", "/engine", event_id, ack.applied_at)
    return ack.worker.encode(), _encoder.encode(ack), headers


def decode_ack(value: bytes) -> Acknowledgement:
    """Read an acknowledgement; msgspec.DecodeError when it is none."""
    return _ack.decode(value)


def _signed(
    key: bytes, value: bytes | None, command_id: str, issued_at: str, private: Ed25519PrivateKey
) -> Headers:
    signature = sign(private, *_parts((key, value), command_id, issued_at))
    return [
        *cloud_event("loan.control.command.v1", "/operator", command_id, issued_at),
        (SIGNATURE, signature.encode()),
        (KEY_ID, key_id(private.public_key()).encode()),
    ]


def _parts(
    content: tuple[bytes, bytes | None], command_id: str, issued_at: str
) -> tuple[bytes | None, ...]:
    return CONTROL.encode(), *content, command_id.encode(), issued_at.encode()


def _checked_signers(
    headers: Mapping[str, str], content: tuple[bytes, bytes | None], trusted: Trusted
) -> list[str]:
    """The ids of the trusted keys that signed, one or two; a refusal otherwise."""
    signers = [_checked_signer(headers, "", content, trusted)]
    if SIGNATURE + SECOND in headers or KEY_ID + SECOND in headers:
        signers.append(_checked_signer(headers, SECOND, content, trusted))
    return signers


def _checked_signer(
    headers: Mapping[str, str], which: str, content: tuple[bytes, bytes | None], trusted: Trusted
) -> str:
    """The id of the trusted key behind the signature headers that end in `which`."""
    signature, signer = headers.get(SIGNATURE + which), headers.get(KEY_ID + which)
    if not signature or not signer:
        raise CommandRefusedError(Refusal.UNSIGNED)
    public = trusted.get(signer)
    if public is None:
        raise CommandRefusedError(Refusal.UNKNOWN_KEY)
    parts = _parts(content, headers.get("ce_id", ""), headers.get("ce_time", ""))
    if not verified(public, signature, *parts):
        raise CommandRefusedError(Refusal.BAD_SIGNATURE)
    return signer


def _default_of(key: str, command_id: str, issued_at: str, signer: str) -> Command:
    """What a tombstone commands; ValueError when the key names no switch."""
    kind, scope, name = key.split("/")
    kinds = {"switch": Action.RESUME, "breaker": Action.LIMITS, "guard": Action.TIGHTEN}
    action = kinds.get(kind)
    if action is None:
        raise ValueError("no such kind of switch")
    # Converted, not constructed: construction alone checks no bounds.
    return msgspec.convert(
        {
            "command_id": command_id,
            "action": action,
            "scope": Scope(scope),
            "name": name,
            "reason": "back to the default",
            "issued_at": issued_at,
            "issued_by": signer,
        },
        Command,
    )


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
