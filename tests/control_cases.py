"""Commands and signed records: what the tests of `decision.control` start from."""

from __future__ import annotations

from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream.codec.control_v1 import encode_command
from stream.codec.signatures import Trusted, key_id
from stream.domain.control import Command
from stream.domain.instant import to_ms
from stream.domain.topics import CONTROL
from stream.ports import Record

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
TRUSTED: Trusted = {key_id(KEY.public_key()): KEY.public_key()}
ISSUED_AT = "2026-11-24T08:00:00Z"

STOP_FARMERS: dict[str, Any] = {
    "command_id": "cmd-00000001",
    "action": "stop",
    "scope": "segment",
    "name": "farmer",
    "reason": "price error",
    "issued_at": ISSUED_AT,
    "issued_by": "duty",
}


def command(**changes: Any) -> Command:
    """A stop of farmers, with `changes`; checked as one read from the topic is."""
    return msgspec.convert(STOP_FARMERS | changes, Command)


def record(
    given: Command, private: Ed25519PrivateKey = KEY, *, offset: int = 0, late_ms: int = 0
) -> Record:
    """The signed record of a command, appended `late_ms` after it was issued."""
    key, value, headers = encode_command(given, private)
    at_ms = to_ms(given.issued_at) + late_ms
    return Record(CONTROL, 0, offset, key, value, headers, at_ms)
