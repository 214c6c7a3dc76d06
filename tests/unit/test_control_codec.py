"""A record of `decision.control` counts only under a trusted signature over all of it."""

from __future__ import annotations

from typing import Any

import pytest
from control_cases import ISSUED_AT, KEY, STRANGER, TRUSTED, command, record
from hypothesis import given
from hypothesis import strategies as st

from stream.codec.control_v1 import (
    CommandRefusedError,
    Refusal,
    decode_ack,
    decode_command,
    encode_ack,
    encode_default,
)
from stream.codec.signatures import sign
from stream.domain.control import Acknowledgement, AckResult, Action
from stream.domain.instant import to_ms
from stream.domain.topics import CONTROL
from stream.ports import Record


def refusal(given_record: Record) -> Refusal:
    with pytest.raises(CommandRefusedError) as caught:
        decode_command(given_record, TRUSTED)
    return caught.value.refusal


def signed(key: bytes, value: bytes | None, at: str = ISSUED_AT) -> Record:
    """Anything at all under a trusted signature."""
    parts = (CONTROL.encode(), key, value, b"cmd-00000001", at.encode())
    headers: list[tuple[str, str | bytes | None]] = [
        ("ce_id", b"cmd-00000001"),
        ("ce_time", at.encode()),
        ("x-signature", sign(KEY, *parts).encode()),
        ("x-key-id", next(iter(TRUSTED)).encode()),
    ]
    return Record(CONTROL, 0, 0, key, value, headers, to_ms(ISSUED_AT))


def test_a_signed_command_is_read_back() -> None:
    """What a trusted key signed is the command, unchanged."""
    assert command() == decode_command(record(command()), TRUSTED)


def test_without_keys_nothing_counts() -> None:
    """An engine that trusts no key accepts no command."""
    with pytest.raises(CommandRefusedError, match="unknown_key"):
        decode_command(record(command()), {})


def test_a_strangers_signature_is_refused() -> None:
    """A sound signature by a key nobody trusts is none, also under a trusted key's name."""
    assert Refusal.UNKNOWN_KEY is refusal(record(command(), STRANGER))
    strange, ours = record(command(), STRANGER), record(command())
    named = [pair for pair in strange.headers if pair[0] != "x-key-id"] + [ours.headers[-1]]
    assert Refusal.BAD_SIGNATURE is refusal(strange._replace(headers=named))


@pytest.mark.parametrize("name", ["x-signature", "x-key-id"])
def test_an_unsigned_record_is_refused(name: str) -> None:
    """Without signature or signer there is no command."""
    sound = record(command())
    bare = [pair for pair in sound.headers if pair[0] != name]
    assert Refusal.UNSIGNED is refusal(sound._replace(headers=bare))


@given(data=st.data())
def test_any_flipped_bit_is_refused(data: st.DataObject) -> None:
    """Key, value and signature cannot be altered, whatever the bit."""
    sound = record(command())
    part = data.draw(st.sampled_from(("key", "value", "x-signature", "x-key-id", "ce_time")))
    content: bytes = getattr(sound, part, None) or dict(sound.headers)[part]  # type: ignore[assignment]
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    altered = bytearray(content)
    altered[bit // 8] ^= 1 << bit % 8
    if part in {"key", "value"}:
        broken = sound._replace(**{part: bytes(altered)})
    else:
        pairs = [(n, bytes(altered) if n == part else v) for n, v in sound.headers]
        broken = sound._replace(headers=pairs)
    same = part == "x-signature" and altered.lower() == content
    if not same:  # an upper-case hex digit is the same signature
        assert refusal(broken) in {Refusal.BAD_SIGNATURE, Refusal.UNKNOWN_KEY}


def test_a_record_under_another_key_is_refused() -> None:
    """A stop of farmers cannot be played under the key of another switch."""
    moved = record(command())._replace(key=b"switch/segment/consumer")
    assert Refusal.BAD_SIGNATURE is refusal(moved)
    value = record(command()).value
    assert Refusal.WRONG_SWITCH is refusal(signed(b"switch/segment/consumer", value))


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"command_id":"cmd-00000001"}']
)
def test_what_cannot_be_read_is_refused(value: bytes) -> None:
    """A signature does not make a command of what is none."""
    assert Refusal.UNREADABLE is refusal(signed(b"switch/segment/farmer", value))


@pytest.mark.parametrize(
    ("action", "late_ms", "refused"),
    [
        ("resume", 300_000, False),
        ("resume", 300_001, True),
        ("limits", 300_001, True),
        ("stop", 10**9, False),
        ("stop", -300_001, True),
        ("resume", -300_001, True),
    ],
)
def test_an_old_resume_and_a_command_of_the_future_are_refused(
    action: str, late_ms: int, refused: bool
) -> None:
    """What approves again must be fresh, a stop may be late, and none comes from the future."""
    limit: dict[str, Any] = {"approvals_max": 10**9} if action == "limits" else {}
    given_record = record(command(action=action, **limit), late_ms=late_ms)
    if refused:
        assert Refusal.OUT_OF_TIME is refusal(given_record)
    else:
        assert decode_command(given_record, TRUSTED).action.value == action


@pytest.mark.parametrize(
    ("key", "action"),
    [("switch/channel/h5", Action.RESUME), ("breaker/segment/farmer", Action.LIMITS)],
)
def test_a_signed_tombstone_gives_back_the_default(key: str, action: Action) -> None:
    """A null value resumes a switch and takes limits back, when it is signed."""
    sent_key, value, headers = encode_default(key, "cmd-00000009", ISSUED_AT, KEY)
    given_record = Record(CONTROL, 0, 0, sent_key, value, headers, to_ms(ISSUED_AT))
    found = decode_command(given_record, TRUSTED)
    assert (action, None, None) == (found.action, found.approvals_max, found.amount_max_fen)
    assert key == found.key
    assert Refusal.UNSIGNED is refusal(given_record._replace(headers=[]))


def test_a_commands_signature_does_not_cover_its_tombstone() -> None:
    """Nobody can turn a captured stop into a resume by taking its value away."""
    assert Refusal.BAD_SIGNATURE is refusal(record(command())._replace(value=None))


@pytest.mark.parametrize("key", [b"switch", b"switch/segment/farmers", b"other/segment/farmer"])
def test_a_tombstone_of_no_switch_is_refused(key: bytes) -> None:
    """An unknown switch has no default."""
    assert Refusal.UNREADABLE is refusal(signed(key, None))


@given(key=st.binary(max_size=40), value=st.none() | st.binary(max_size=200), at=st.text())
def test_no_signed_bytes_raise_anything_else(key: bytes, value: bytes | None, at: str) -> None:
    """Whatever is signed is a command or is refused; nothing stops a reader."""
    at = at.encode("utf-8", "replace").decode()
    assert refusal(signed(key, value, at)) in Refusal


def test_an_acknowledgement_is_read_back() -> None:
    """What a worker says is what the operator reads."""
    ack = Acknowledgement("host-0", 7, AckResult.REFUSED, ISSUED_AT, why="unsigned")
    key, value, _ = encode_ack(ack)
    assert (b"host-0", ack) == (key, decode_ack(value))
