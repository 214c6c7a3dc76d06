"""Snapshots of ledgers on this host: a start from yesterday's instead of from the window.

A snapshot is one file per partition: a checksum, then what it is of and the
ledger. It is written beside its place and renamed, so a process that dies leaves
the old one or the new one. It is not flushed to disk, which would take as long as
all the rest of keeping it: after a power cut it may be torn, or the old one. The
checksum tells, and anything that does not fit is passed over: the topics have it all.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from stream.domain.ledger import Ledger
from stream.ports import Place, Positions

FORMAT = 4
"""4: approvals are kept by instant; 3: by approval; before 2, events by application alone."""
_DIGEST_BYTES = 32


class Snapshot(msgspec.Struct):
    """A ledger, whose it is, and the offsets from which the topics go on."""

    format: int
    cluster_id: str
    group_id: str
    partitions: int
    offsets: list[tuple[str, int, int]]
    ledger: Ledger


class Snapshots:
    """The snapshot files of one engine group on one host."""

    def __init__(
        self,
        folder: Path,
        cluster_id: str,
        group_id: str,
        partitions: int,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._folder, self._log = folder, log
        self._of = (FORMAT, cluster_id, group_id, partitions)

    def keep(self, partition: int, ledger: Ledger, covered: Positions) -> None:
        """Write one; a disk that refuses costs the next start some seconds, nothing more."""
        offsets = [(topic, p, offset) for (topic, p), offset in covered.items()]
        body = msgspec.msgpack.encode(Snapshot(*self._of, offsets, ledger))
        path = self._path(partition)
        fresh = path.with_suffix(f".{os.getpid()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with fresh.open("wb") as file:
                file.write(hashlib.sha256(body).digest())
                file.write(body)
            fresh.replace(path)
        except OSError as error:
            self._log.warning("snapshot_not_kept", partition=partition, error=error.strerror)
            with suppress(OSError):
                fresh.unlink(missing_ok=True)

    def load(self, partition: int) -> tuple[Ledger, dict[Place, int]] | None:
        """The last one kept, or None when there is none that is whole and of this group."""
        try:
            content = self._path(partition).read_bytes()
        except OSError:
            return None
        digest, body = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            self._log.warning("snapshot_damaged", partition=partition)
            return None
        try:
            found = msgspec.msgpack.decode(body, type=Snapshot)
        except msgspec.MsgspecError:
            self._log.warning("snapshot_of_another_format", partition=partition)
            return None
        if (found.format, found.cluster_id, found.group_id, found.partitions) != self._of:
            return None
        return found.ledger, {Place(topic, p): offset for topic, p, offset in found.offsets}

    def _path(self, partition: int) -> Path:
        return self._folder / f"{partition}.ledger"
