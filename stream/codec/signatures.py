"""Ed25519 signatures over several parts, so framed that no part can pass for another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

_ABSENT: Final = b"\xff" * 8
"""Stands where the length of a part would: no part is that long."""

Trusted = Mapping[str, Ed25519PublicKey]
"""The public keys whose signatures count, by key id."""


def key_id(public: Ed25519PublicKey) -> str:
    """A public key's name: the first 16 hex digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


def new_private_key() -> Ed25519PrivateKey:
    """A fresh key from the system's randomness."""
    return Ed25519PrivateKey.generate()


def private_pem(private: Ed25519PrivateKey) -> bytes:
    """PKCS 8, unencrypted: the file's mode guards it."""
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(public: Ed25519PublicKey) -> bytes:
    """SubjectPublicKeyInfo."""
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_private_key(pem: bytes) -> Ed25519PrivateKey:
    """The private key in a PEM text; ValueError when it holds no plain Ed25519 key."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("not an unencrypted Ed25519 private key") from error
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise ValueError("a private key, but not an Ed25519 one")


def read_public_key(pem: bytes) -> Ed25519PublicKey:
    """The public key in a PEM text; ValueError when it holds no Ed25519 key."""
    try:
        key = load_pem_public_key(pem)
    except UnsupportedAlgorithm as error:
        raise ValueError("not an Ed25519 public key") from error
    if isinstance(key, Ed25519PublicKey):
        return key
    raise ValueError("a public key, but not an Ed25519 one")


def sign(private: Ed25519PrivateKey, *parts: bytes | None) -> str:
    """The signature over the parts, in hex; an absent part differs from an empty one."""
    return private.sign(_framed(parts)).hex()


def verified(public: Ed25519PublicKey, signature: str, *parts: bytes | None) -> bool:
    """Whether `signature` is this key's over exactly these parts."""
    try:
        public.verify(bytes.fromhex(signature), _framed(parts))
    except (InvalidSignature, ValueError):
        return False
    return True


def _framed(parts: Iterable[bytes | None]) -> bytes:
    framed = [_ABSENT if p is None else len(p).to_bytes(8, "big") + p for p in parts]
    return b"".join(framed)
