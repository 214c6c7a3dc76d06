"""What `tenminute audit` does with records: verify a partition, write an export."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TextIO

from stream.audit.checkpoint import CheckpointRefusedError, decode_checkpoint
from stream.audit.entry import Entry, Fault, Kind, mislabelled
from stream.audit.verify import Walk
from stream.codec.signatures import Trusted
from stream.domain.topics import AUDIT, CHECKPOINTS
from stream.ops.audit_manifest import Place, manifest_line
from stream.ops.audit_read import FileSource, Source, line_of

_AT_ITS_OFFSET = (Kind.ALTERED, Kind.INSERTED)
"""Faults of the record at their offset; of others it may be the one before."""


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
    missing: list[str]
    """What ought to be there and is not."""

    @property
    def sound(self) -> bool:
        """Whether nothing at all is wrong."""
        return not (self.faults or self.refused or self.missing)


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
    labels: list[Fault] = []
    faults = walk.run(_counting(source, partition, progress, labels))
    placed = {fault.offset for fault in faults if fault.kind in _AT_ITS_OFFSET}
    faults += [fault for fault in labels if fault.offset not in placed]
    faults.sort(key=lambda fault: fault.offset)
    missing = source.lacking(partition) if isinstance(source, FileSource) else []
    if trusted and walk.seen and not checkpoints:
        missing.append(
            f"{CHECKPOINTS}/{partition}: nothing signed; no trusted checkpoint vouches for any of "
            f"its {walk.seen:,} records"
        )
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
        missing,
    )


def unknowable(
    source: Source | FileSource, findings: Sequence[Finding], *, whole: bool
) -> list[str]:
    """What keeps all from being called sound, beside what is wrong with a partition.

    `whole`: every partition was asked for.
    """
    words = []
    if not any(each.records for each in findings):
        words.append("no audit record was read: nothing is verified")
    if not isinstance(source, FileSource):
        return words
    manifest, held = source.manifest, source.partitions()
    if manifest is None:
        words.append(
            "the export has no manifest as its first line: whether partitions or ends of them are "
            "missing cannot be known; write it again with: tenminute audit export"
        )
    elif whole and held != [*range(manifest.partitions)]:
        words.append(
            f"the export holds partition {', '.join(map(str, held)) or 'none'} and the topic had "
            f"{manifest.partitions}: of the others nothing is known; ask for one with --partition"
        )
    return words


def write_export(source: Source, numbers: Sequence[int], out: TextIO) -> int:
    """Write manifest, checkpoints and audit; how many records.

    The manifest's line is blank until all is written: an export cut short is none.
    """
    topics = (CHECKPOINTS, AUDIT)
    places = [Place(topic, number, 0, 0) for number in numbers for topic in topics]
    partitions = len(source.partitions())
    out.write(" " * len(manifest_line(partitions, places)) + "\n")
    for index, place in enumerate(places):
        records, end = 0, 0
        for record in source.records(place.topic, place.partition):
            out.write(line_of(record) + "\n")
            records, end = records + 1, record.offset + 1
        places[index] = Place(place.topic, place.partition, records, end)
    out.seek(0)
    out.write(manifest_line(partitions, places))
    return sum(each.records for each in places)


def _counting(
    source: Source | FileSource,
    partition: int,
    progress: Callable[[int], None],
    labels: list[Fault],
) -> Iterator[Entry]:
    """The partition's records as links; `progress` hears each one's offset.

    `labels` takes the faults of headers that repeat the value.
    """
    for record in source.records(AUDIT, partition):
        progress(record.offset)
        entry = record.entry
        words = mislabelled(record.value, record.headers)
        if words is not None:
            sequence = entry.claim.sequence if entry.claim is not None else 0
            labels.append(Fault(Kind.ALTERED, partition, record.offset, sequence, words))
        yield entry
