"""Sealing what a dead letter keeps: AES-256-GCM, the same bytes for the same letter for ever.

A sealed value is `nonce (12) | ciphertext | tag (16)`, with the record's origin as
associated data, so that one letter's bytes cannot be passed off as another's.

The nonce is not drawn but derived: the first 96 bits of HMAC-SHA-256 over origin
and content, under a subkey of its own. A batch decided again after a crash thus
seals to the same bytes, as all else it writes is the same. GCM is lost when one
nonce serves two messages; here two messages meet in a nonce only when the HMAC
collides, which at four thousand million letters under one key has a chance below
2^-33. What equal ciphertexts tell is that the same record was sealed twice, and
that its origin says already.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from stream.errors import TenMinuteError

SCHEME: Final = "aes-256-gcm"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
OVERHEAD_BYTES: Final = NONCE_BYTES + TAG_BYTES


class SealError(TenMinuteError):
    """Sealed bytes that this key, for this origin, does not open."""


class KeyMissingError(SealError):
    """Sealed with a key that is not at hand; nothing is said against the bytes."""


class Sealer:
    """Seals and opens with one key."""

    def __init__(self, key: bytes) -> None:
        """Derive one subkey each for content and nonce; ValueError unless it has 32 bytes."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"{len(key)} bytes, expected {KEY_BYTES}")
        self.key_id = hashlib.sha256(b"tenminute seal key id" + key).hexdigest()[:16]
        self._cipher = AESGCM(_subkey(key, b"tenminute seal content"))
        self._nonce_key = _subkey(key, b"tenminute seal nonce")

    def seal(self, plain: bytes, origin: str) -> bytes:
        """The sealed form of `plain`; nothing but key, origin and content goes into it."""
        where = origin.encode()
        nonce = self._nonce(plain, where)
        return nonce + self._cipher.encrypt(nonce, plain, where)

    def open(self, sealed: bytes, origin: str) -> bytes:
        """What was sealed for this origin; SealError when a bit, the origin or the key differs."""
        where = origin.encode()
        nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        if len(rest) < TAG_BYTES:
            raise SealError(f"{origin}: {len(sealed)} bytes are too few to be sealed")
        try:
            plain = self._cipher.decrypt(nonce, rest, where)
        except InvalidTag:
            raise SealError(
                f"{origin}: not what key {self.key_id} sealed here: the bytes were changed or "
                "taken from another letter"
            ) from None
        return plain

    def _nonce(self, plain: bytes, where: bytes) -> bytes:
        # The length keeps origin and content apart: no two pairs run together to the same bytes.
        framed = len(where).to_bytes(8, "big") + where + plain
        return hmac.digest(self._nonce_key, framed, "sha256")[:NONCE_BYTES]


Sealers = Mapping[str, Sealer]
"""The keys at hand, by key id."""


def parse_key(text: str) -> bytes:
    """The 32 bytes of a key written in hex or base64; ValueError says what was found instead."""
    word = text.strip()
    try:
        if len(word) == 2 * KEY_BYTES:
            key = bytes.fromhex(word)
        else:
            key = base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{len(word)} characters, neither hex nor base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"{len(key)} bytes, expected {KEY_BYTES}")
    return key


def new_key() -> bytes:
    """A fresh key from the system's randomness."""
    return AESGCM.generate_key(8 * KEY_BYTES)


def _subkey(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key)
