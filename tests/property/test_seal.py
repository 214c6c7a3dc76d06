"""What is sealed opens to itself, for its own origin and key only, and seals the same again."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codec.seal import (
    KEY_BYTES,
    NONCE_BYTES,
    OVERHEAD_BYTES,
    Sealer,
    SealError,
    new_key,
    parse_key,
)

KEY = hashlib.sha256(b"a key of the tests").digest()
SEALER = Sealer(KEY)
ORIGIN = "loan.applications/3/41"
PLAIN = st.binary(max_size=2_000)
ORIGINS = st.builds("{}/{}/{}".format, st.just("loan.applications"), st.integers(0), st.integers(0))


@given(PLAIN, ORIGINS)
def test_what_is_sealed_opens_to_itself(plain: bytes, origin: str) -> None:
    """Round trip; 28 bytes longer; the same input is sealed to the same bytes."""
    sealed = SEALER.seal(plain, origin)
    assert len(plain) + OVERHEAD_BYTES == len(sealed)
    assert sealed == Sealer(KEY).seal(plain, origin)
    assert plain == SEALER.open(sealed, origin)


@given(PLAIN, st.data())
def test_any_flipped_bit_is_found(plain: bytes, data: st.DataObject) -> None:
    """One bit changed anywhere, in nonce, content or tag, and nothing opens."""
    sealed = bytearray(SEALER.seal(plain, ORIGIN))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealError, match=ORIGIN):
        SEALER.open(bytes(sealed), ORIGIN)


@given(PLAIN, ORIGINS)
def test_a_letter_opens_at_its_own_origin_only(plain: bytes, elsewhere: str) -> None:
    """Bytes moved under another origin do not open there."""
    origin = f"{elsewhere}1"
    with pytest.raises(SealError, match="taken from another letter"):
        SEALER.open(SEALER.seal(plain, origin), elsewhere)


@given(PLAIN, st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES))
def test_another_key_opens_nothing(plain: bytes, key: bytes) -> None:
    """Only the key that sealed opens, and the two have different names."""
    if key == KEY:
        return
    other = Sealer(key)
    assert SEALER.key_id != other.key_id
    with pytest.raises(SealError, match=other.key_id):
        other.open(SEALER.seal(plain, ORIGIN), ORIGIN)


@given(PLAIN, st.integers(0, OVERHEAD_BYTES - 1))
def test_a_cut_is_found(plain: bytes, size: int) -> None:
    """What is shorter than nonce and tag is refused as such."""
    with pytest.raises(SealError, match="too few"):
        SEALER.open(SEALER.seal(plain, ORIGIN)[:size], ORIGIN)


def test_a_hundred_thousand_letters_have_as_many_nonces() -> None:
    """Other content or another origin is another nonce; where both run together alike, too."""
    nonces = {
        SEALER.seal(b"%d" % (number % 300), f"loan.applications/0/{number // 300}")[:NONCE_BYTES]
        for number in range(100_000)
    }
    assert len(nonces) == 100_000
    assert SEALER.seal(b"1x", "t/0/1")[:NONCE_BYTES] != SEALER.seal(b"x", "t/0/11")[:NONCE_BYTES]


@given(st.binary(max_size=64))
def test_a_key_of_another_length_is_no_key(text: bytes) -> None:
    """Hex and base64 of 32 bytes are read; of any other length they are refused."""
    for word in (text.hex(), f" {text.hex()}\n"):
        if len(text) == KEY_BYTES:
            assert text == parse_key(word)
        else:
            with pytest.raises(ValueError, match=r"expected 32|neither"):
                parse_key(word)
    if len(text) != KEY_BYTES:
        with pytest.raises(ValueError, match="expected 32"):
            Sealer(text)


def test_fresh_keys_differ() -> None:
    """Every new key is another one."""
    assert len({new_key() for _ in range(100)}) == 100
