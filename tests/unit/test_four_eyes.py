"""A model gets to decide only under two signatures, of two different trusted keys."""

from __future__ import annotations

import pytest
from control_cases import KEY, SECOND_KEY, STRANGER, TRUSTED, command, record
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream.codec.control_v1 import CommandRefusedError, Refusal, decode_command
from stream.limits import CLOCK_SKEW_MS_MAX, COUNTERSIGN_MS_MAX
from stream.ports import Record

PROMOTE = command(
    action="model",
    scope="model",
    model={
        "alias": "champion", "version": "1.2.0", "manifest_sha256": "a" * 64,
        "replaces": "1.1.0", "replaces_sha256": "b" * 64,
    },
)  # fmt: skip
SHADOW = command(action="model", scope="model", model={"alias": "shadow"})


def refusal(given: Record) -> Refusal:
    with pytest.raises(CommandRefusedError) as caught:
        decode_command(given, TRUSTED)
    return caught.value.refusal


def without(given: Record, *names: str) -> Record:
    return given._replace(headers=[pair for pair in given.headers if pair[0] not in names])


def test_two_keys_promote() -> None:
    """Either may sign first."""
    assert decode_command(record(PROMOTE, KEY, SECOND_KEY), TRUSTED) == PROMOTE
    assert decode_command(record(PROMOTE, SECOND_KEY, KEY), TRUSTED) == PROMOTE


@pytest.mark.parametrize(
    ("expected", "first", "second"),
    [
        (Refusal.FOUR_EYES, KEY, None),
        (Refusal.FOUR_EYES, KEY, KEY),
        (Refusal.UNKNOWN_KEY, KEY, STRANGER),
        (Refusal.UNKNOWN_KEY, STRANGER, KEY),
    ],
)
def test_one_person_does_not_promote(
    expected: Refusal, first: Ed25519PrivateKey, second: Ed25519PrivateKey | None
) -> None:
    """One key alone, the same twice, or a stranger beside it."""
    assert expected is refusal(record(PROMOTE, first, second))


def test_a_second_signature_must_be_right_wherever_it_is() -> None:
    """Half of one, or one over other bytes, spoils even a command that needs only one."""
    whole = record(SHADOW, KEY, SECOND_KEY)
    assert decode_command(whole, TRUSTED) == SHADOW
    assert Refusal.UNSIGNED is refusal(without(whole, "x-key-id-2"))
    assert Refusal.UNSIGNED is refusal(without(whole, "x-signature-2"))
    foreign = [p for p in record(PROMOTE, KEY, SECOND_KEY).headers if p[0].endswith("-2")]
    swapped = without(whole, "x-key-id-2", "x-signature-2")
    mixed = swapped._replace(headers=[*swapped.headers, *foreign])
    assert Refusal.BAD_SIGNATURE is refusal(mixed)


def test_a_look_needs_one_signature() -> None:
    """A shadow decides nothing."""
    assert decode_command(record(SHADOW), TRUSTED) == SHADOW


def test_the_second_person_has_a_day() -> None:
    """What two sign may lie for a day; what one signs, five minutes; and no longer."""
    late = record(PROMOTE, KEY, SECOND_KEY, late_ms=COUNTERSIGN_MS_MAX)
    assert decode_command(late, TRUSTED) == PROMOTE
    later = record(PROMOTE, KEY, SECOND_KEY, late_ms=COUNTERSIGN_MS_MAX + 1)
    assert Refusal.OUT_OF_TIME is refusal(later)
    assert Refusal.OUT_OF_TIME is refusal(record(SHADOW, late_ms=CLOCK_SKEW_MS_MAX + 1))


def test_a_tombstone_moves_no_model() -> None:
    """No null value takes a champion away: that has no default on the topic."""
    given = record(PROMOTE, KEY, SECOND_KEY)._replace(value=None)
    assert Refusal.BAD_SIGNATURE is refusal(given)
