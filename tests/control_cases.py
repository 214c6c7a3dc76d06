"""Commands and signed records: what the tests of `decision.control` start from."""

from __future__ import annotations

from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from stream.codec.control_v1 import encode_command
from stream.codec.signatures import Trusted, key_id
from stream.domain.control import Command
from stream.domain.instant import to_ms
from stream.domain.topics import CONTROL
from stream.ports import Record

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SECOND_KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x04")
TRUSTED: Trusted = {key_id(key.public_key()): key.public_key() for key in (KEY, SECOND_KEY)}
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x01")
"""A key nobody trusts."""
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
    given: Command,
    private: Ed25519PrivateKey = KEY,
    second: Ed25519PrivateKey | None = None,
    *,
    offset: int = 0,
    late_ms: int = 0,
) -> Record:
    """The signed record of a command, appended `late_ms` after it was issued."""
    key, value, headers = encode_command(given, private, second)
    at_ms = to_ms(given.issued_at) + late_ms
    return Record(CONTROL, 0, offset, key, value, headers, at_ms)


SEGMENTS, CHANNELS, MODELS = ("farmer", "consumer"), ("h5", "mobile_bank"), ("farmer", "consumer")
SCOPED = st.one_of(
    st.just(("everything", "all")),
    st.tuples(st.just("segment"), st.sampled_from(SEGMENTS)),
    st.tuples(st.just("channel"), st.sampled_from(CHANNELS)),
    st.tuples(st.just("model"), st.sampled_from(MODELS)),
)

TIGHTENED = ({}, {"raise_points": 0}, {"raise_points": 20}, {"refer_all": True})


@st.composite
def commands(draw: st.DrawFn) -> Command:
    """Any command, issued within the same few milliseconds so that ties are frequent."""
    at = {"issued_at": f"2026-11-24T08:00:00.00{draw(st.integers(0, 3))}Z"}
    at["command_id"] = f"cmd-{draw(st.integers(0, 10**8)):08}"
    if draw(st.booleans()):
        limit = draw(st.none() | st.integers(0, 100))
        name = draw(st.sampled_from(SEGMENTS))
        return command(action="limits", scope="segment", name=name, approvals_max=limit, **at)
    if draw(st.booleans()):
        model = {"alias": draw(st.sampled_from(("challenger", "shadow")))}
        if draw(st.booleans()):
            model = {
                "alias": "champion", "version": "1.1.0", "manifest_sha256": "a" * 64,
                "replaces": "1.0.0", "replaces_sha256": "b" * 64,
            }  # fmt: skip
        name = draw(st.sampled_from(MODELS))
        return command(action="model", scope="model", name=name, model=model, **at)
    if draw(st.booleans()):
        how: dict[str, Any] = draw(st.sampled_from(TIGHTENED))
        name = draw(st.sampled_from(SEGMENTS))
        return command(action="tighten", scope="segment", name=name, **at, **how)
    scope, name = draw(SCOPED)
    action = draw(st.sampled_from(("stop", "resume")))
    return command(action=action, scope=scope, name=name, **at)
