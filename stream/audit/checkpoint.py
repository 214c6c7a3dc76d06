"""`decision.audit.checkpoints`, version 1: a notary's signed word on where a chain stands.

The signature is Ed25519 over topic, key and value, each after its length as
eight big-endian bytes. The key is the partition's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream.codec.headers import Headers, cloud_event
from stream.codec.signatures import Trusted, key_id, sign, verified
from stream.domain.chain import ChainHead
from stream.domain.topics import CHECKPOINTS
from stream.errors import TenMinuteError

SIGNATURE: Final = "x-signature"
CHECKPOINT_TYPE: Final = "loan.audit.checkpoint.v1"

_encoder = msgspec.json.Encoder()


class Checkpoint(msgspec.Struct, frozen=True):
    """The chain of `partition` stood at `sequence`, with this hash, in the record at `offset`."""

    partition: int
    sequence: int
    offset: int
    sha256: str
    at: str
    key_id: str

    @property
    def head(self) -> ChainHead:
        """The chain's head that was signed."""
        return ChainHead(self.sequence, bytes.fromhex(self.sha256))


_decoder = msgspec.json.Decoder(Checkpoint)


class CheckpointRefusedError(TenMinuteError):
    """A record of the checkpoint topic that no trusted notary has signed."""


def encode_checkpoint(
    checkpoint: Checkpoint, private: Ed25519PrivateKey
) -> tuple[bytes, bytes, Headers]:
    """Key, value and signed headers of one checkpoint."""
    key, value = str(checkpoint.partition).encode(), _encoder.encode(checkpoint)
    event_id = f"{checkpoint.partition}/{checkpoint.sequence}"
    headers = cloud_event(CHECKPOINT_TYPE, "/notary", event_id, checkpoint.at)
    headers.append((SIGNATURE, sign(private, CHECKPOINTS.encode(), key, value).encode()))
    return key, value, headers


def decode_checkpoint(
    content: tuple[bytes | None, bytes],
    headers: Sequence[tuple[str, str | bytes | None]],
    trusted: Trusted,
) -> Checkpoint:
    """The checkpoint of a record's key and value; CheckpointRefusedError says what is wrong."""
    key, value = content
    try:
        checkpoint = _decoder.decode(value)
        signature = _signature(dict(headers))
        bytes.fromhex(checkpoint.sha256)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        raise CheckpointRefusedError("unreadable") from None
    public = trusted.get(checkpoint.key_id)
    if public is None:
        raise CheckpointRefusedError("signed with a key that is not trusted here")
    if not verified(public, signature, CHECKPOINTS.encode(), key, value):
        raise CheckpointRefusedError("its signature does not hold")
    if key != str(checkpoint.partition).encode():
        raise CheckpointRefusedError("its key is another partition's")
    return checkpoint


def named_key(private: Ed25519PrivateKey) -> str:
    """The key id that goes into checkpoints signed with this key."""
    return key_id(private.public_key())


def _signature(headers: Mapping[str, str | bytes | None]) -> str:
    value = headers.get(SIGNATURE)
    return value.decode("ascii") if isinstance(value, bytes) else value or ""
