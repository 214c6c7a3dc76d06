"""What the verbs of `tenminute audit` do: make keys, read keys, verify a partition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream.audit.checkpoint import CheckpointRefusedError, decode_checkpoint, named_key
from stream.audit.entry import Entry, Fault
from stream.audit.verify import Walk
from stream.codec.signatures import (
    Trusted,
    key_id,
    new_private_key,
    private_pem,
    public_pem,
    read_private_key,
    read_public_key,
)
from stream.domain.topics import AUDIT, CHECKPOINTS
from stream.errors import ConfigError
from stream.ops.audit_read import FileSource, Source

PRIVATE_NAME, PUBLIC_NAME = "notary.key", "notary.pub"


class Finding(NamedTuple):
    """What verifying one partition found."""

    partition: int
    records: int
    sequence: int
    sha256: str
    checkpoints: int
    signed_to: int
    faults: list[Fault]
    refused: list[str]
    """Checkpoints that do not count, and why."""

    @property
    def sound(self) -> bool:
        """Whether nothing at all is wrong."""
        return not self.faults and not self.refused


def make_keys(folder: Path) -> tuple[Path, Path, str]:
    """Write a new pair; the private file is readable by its owner only. Never overwrites."""
    private = new_private_key()
    private_file, public_file = folder / PRIVATE_NAME, folder / PUBLIC_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        private_file.touch(mode=0o600, exist_ok=False)
        private_file.write_bytes(private_pem(private))
        public_file.write_bytes(public_pem(private.public_key()))
    except OSError as error:
        raise ConfigError(f"{folder}: {error}", fix="name a new, writable folder") from None
    return private_file, public_file, named_key(private)


def load_private(file: Path) -> Ed25519PrivateKey:
    """The notary's signing key; ConfigError when there is none."""
    try:
        return read_private_key(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"notary's key {file}: {error}", fix="make a pair: tenminute audit keygen DIR"
        ) from None


def load_trusted(files: Sequence[Path]) -> Trusted:
    """Public keys by id; ConfigError names the file that holds none."""
    trusted = {}
    for file in files:
        try:
            public = read_public_key(file.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"public key {file}: {error}", fix="give the notary's public key"
            ) from None
        trusted[key_id(public)] = public
    return trusted


def verify(
    source: Source | FileSource,
    partition: int,
    trusted: Trusted,
    progress: Callable[[int], None],
) -> Finding:
    """Walk one partition; checkpoints are read first, so that what they name must be there."""
    checkpoints, refused = [], []
    for record in source.records(CHECKPOINTS, partition) if trusted else ():
        try:
            checkpoint = decode_checkpoint((record.key, record.value), record.headers, trusted)
        except CheckpointRefusedError as error:
            refused.append(f"{CHECKPOINTS}/{partition}/{record.offset}: {error}")
            continue
        if checkpoint.partition == partition:
            checkpoints.append(checkpoint)
        else:
            refused.append(f"{CHECKPOINTS}/{partition}/{record.offset}: another partition's")
    walk = Walk(partition, checkpoints)
    faults = walk.run(_counting(source, partition, progress))
    signed_to = max((each.sequence for each in checkpoints), default=0)
    return Finding(
        partition,
        walk.seen,
        walk.head.sequence,
        walk.head.sha256.hex(),
        len(checkpoints),
        signed_to,
        faults,
        refused,
    )


def _counting(
    source: Source | FileSource, partition: int, progress: Callable[[int], None]
) -> Iterator[Entry]:
    """The partition's records as links; `progress` hears each one's offset."""
    for record in source.records(AUDIT, partition):
        progress(record.offset)
        yield record.entry
