"""What `tenminute audit verify` does: one partition, with the checkpoints that sign it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from stream.audit.checkpoint import CheckpointRefusedError, decode_checkpoint
from stream.audit.entry import Entry, Fault
from stream.audit.verify import Walk
from stream.codec.signatures import Trusted
from stream.domain.topics import AUDIT, CHECKPOINTS
from stream.ops.audit_read import FileSource, Source


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
