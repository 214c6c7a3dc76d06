"""`manifest.sig` and `aliases.json`: who vouches for a model, and for which one starts; version 1.

A signature is over the exact bytes of `manifest.json`, behind a prefix that no
other signed thing of ours begins with. The manifest names the hashes of model
and golden rows, so a signature vouches for them too. Each file has one spelling:
whatever reads otherwise than it would be written is refused, so not one bit of it
can change unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta, Struct

from stream.codec.signatures import Trusted, key_id, sign, verified
from stream.domain.lineup import Pin, Sha256, Version
from stream.errors import ModelError

PURPOSE: Final = b"tenminute model manifest v1"
START_PURPOSE: Final = b"tenminute model start v1"
SIGN_FIX: Final = "have the release signed: tenminute model sign FOLDER --key FILE"
TRUST_FIX: Final = "add the signer's public key to `model_key_files`, or use a release you trust"
START_FIX: Final = "have the release say so: tenminute model start FOLDER --key FILE"
RESTORE_FIX: Final = "restore manifest and signature from the same release"


class Signature(Struct, frozen=True, forbid_unknown_fields=True):
    """One key's signature in hex."""

    key_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")]


class Signatures(Struct, frozen=True, forbid_unknown_fields=True):
    """All signatures over one manifest, by key id, each key once."""

    version: Annotated[int, Meta(ge=1, le=1)]
    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=8)]

    def __post_init__(self) -> None:
        """ValueError unless the keys are in order and none is there twice."""
        names = [each.key_id for each in self.signatures]
        if names != sorted(set(names)):
            raise ValueError("signatures are not in the order of their keys, each once")


class Start(Struct, frozen=True, forbid_unknown_fields=True):
    """The release that engines start with while no command names a champion."""

    version: Annotated[int, Meta(ge=1, le=1)]
    model_id: str
    champion: Version
    manifest_sha256: Sha256
    signed: Signature

    @property
    def pin(self) -> Pin:
        """The release."""
        return Pin(self.champion, self.manifest_sha256)


def encode_start(model_id: str, pin: Pin, private: Ed25519PrivateKey) -> bytes:
    """The file's one spelling, signed."""
    signature = sign(private, START_PURPOSE, *_start_parts(model_id, pin))
    return _start_text(Start(1, model_id, *pin, Signature(key_id(private.public_key()), signature)))


def decode_start(raw: bytes, model_id: str, trusted: Trusted, file: str) -> Pin:
    """The release a model starts with; ModelError unless a trusted key says so of this model."""
    try:
        start = msgspec.json.decode(raw, type=Start)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{file}: {error}", fix=START_FIX) from None
    if start.model_id != model_id or _start_text(start) != raw:
        raise ModelError(
            f"{file}: is not what `tenminute model start` writes for {model_id}", fix=START_FIX
        )
    public = trusted.get(start.signed.key_id)
    if public is None:
        raise ModelError(
            f"{file}: signed by the key {start.signed.key_id}, which is not trusted here",
            fix=TRUST_FIX,
        )
    if not verified(
        public, start.signed.signature, START_PURPOSE, *_start_parts(model_id, start.pin)
    ):
        raise ModelError(
            f"{file}: the signature of key {start.signed.key_id} is not over this release",
            fix=START_FIX,
        )
    return start.pin


def _start_text(start: Start) -> bytes:
    return msgspec.json.format(msgspec.json.encode(start), indent=2) + b"\n"


def _start_parts(model_id: str, pin: Pin) -> tuple[bytes, ...]:
    return model_id.encode(), pin.version.encode(), pin.manifest_sha256.encode()


def sign_manifest(manifest: bytes, private: Ed25519PrivateKey) -> Signature:
    """Sign the manifest's bytes."""
    return Signature(key_id(private.public_key()), sign(private, PURPOSE, manifest))


def encode_signatures(signatures: Sequence[Signature]) -> bytes:
    """The file's one spelling."""
    ordered = sorted(signatures, key=lambda each: each.key_id)
    whole = msgspec.convert(
        {"version": 1, "signatures": [msgspec.to_builtins(each) for each in ordered]}, Signatures
    )
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def decode_signatures(raw: bytes, file: str) -> tuple[Signature, ...]:
    """What the file says; ModelError when it is spelt in any other way."""
    try:
        found = msgspec.json.decode(raw, type=Signatures).signatures
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{file}: {error}", fix=RESTORE_FIX) from None
    if encode_signatures(found) != raw:
        raise ModelError(f"{file}: is not as `tenminute model sign` writes it", fix=RESTORE_FIX)
    return found


def check_signatures(manifest: bytes, raw: bytes, trusted: Trusted, file: str) -> tuple[str, ...]:
    """The ids of the keys that signed; ModelError unless every one of them is trusted and right.

    One good signature beside a bad one is no good model: nobody signs in vain.
    """
    found = decode_signatures(raw, file)
    for each in found:
        public = trusted.get(each.key_id)
        if public is None:
            raise ModelError(
                f"{file}: signed by the key {each.key_id}, which is not trusted here", fix=TRUST_FIX
            )
        if not verified(public, each.signature, PURPOSE, manifest):
            raise ModelError(
                f"{file}: the signature of key {each.key_id} is not over this manifest",
                fix=RESTORE_FIX,
            )
    return tuple(each.key_id for each in found)
