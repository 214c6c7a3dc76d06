"""A copy of the store that a new host can start from, and the refusals that keep it safe.

A snapshot is one file: a line of checksum and JSON, then the compacted LMDB image. The copy is made
under one read transaction, so that the offsets in it say exactly how far it has read. It is
flushed and renamed only when whole, and its checksum covers every byte of it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from stream.edge.lmdb_store import StoreReader
from stream.errors import ConfigError

FORMAT = 1
_CHUNK = 1 << 20
_HEADER_BYTES_MAX = 1 << 20
IMAGE = "data.mdb"
_MAKE = "make another: tenminute whitelist snapshot"


class Header(msgspec.Struct, frozen=True):
    """What a snapshot says of itself; offsets are the next to read."""

    format: int
    cluster_id: str
    taken_at_ms: int
    fresh_at_ms: int
    offsets: list[tuple[str, int, int]]
    counts: dict[str, int]
    image_bytes: int
    image_sha256: str


def take_snapshot(store: Path, file: Path, now_ms: int) -> Header:
    """Write the store in folder `store` to `file`, whole or not at all."""
    with StoreReader(store):  # ConfigError where there is none
        pass
    fresh, image = file.with_name(f".{file.name}.{os.getpid()}"), file.with_name(f".{file.name}.db")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(image, ignore_errors=True)
        image.mkdir()
        with lmdb.open(str(store), readonly=True, max_dbs=3, lock=True) as env:
            env.copy(str(image), compact=True)
        header = _describe(image, now_ms)
        with fresh.open("wb") as target, (image / IMAGE).open("rb") as source:
            said = msgspec.json.encode(header)
            target.write(hashlib.sha256(said).hexdigest().encode() + b" " + said + b"\n")
            shutil.copyfileobj(source, target, _CHUNK)
            target.flush()
            os.fsync(target.fileno())
        fresh.replace(file)
        _flush_folder(file.parent)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", fix="name a writable place") from None
    finally:
        fresh.unlink(missing_ok=True)
        shutil.rmtree(image, ignore_errors=True)
    return header


def _describe(image: Path, now_ms: int) -> Header:
    with StoreReader(image) as copied:
        offsets, counts, cluster = copied.offsets(), copied.counts(), copied.cluster_id()
        with copied.reading() as views:
            fresh_at_ms = views.fresh_at_ms
    if cluster is None or not fresh_at_ms:
        raise ConfigError(
            "the store has not been read to the ends of its topics", fix="let the keeper catch up"
        )
    with (image / IMAGE).open("rb") as source:
        sha256 = hashlib.file_digest(source, "sha256").hexdigest()
    places = [(topic, partition, offset) for (topic, partition), offset in sorted(offsets.items())]
    size = (image / IMAGE).stat().st_size
    return Header(FORMAT, cluster, now_ms, fresh_at_ms, places, counts, size, sha256)


def read_header(file: Path) -> tuple[Header, int]:
    """The header of a snapshot and where its image begins; ConfigError for anything else."""
    try:
        with file.open("rb") as source:
            line = source.readline(_HEADER_BYTES_MAX)
        digest, _, said = line.removesuffix(b"\n").partition(b" ")
        if hashlib.sha256(said).hexdigest().encode() != digest:
            raise ConfigError(f"{file}: is no snapshot, or is damaged", fix=_MAKE)
        header = msgspec.json.decode(said, type=Header)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", fix="check the path") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ConfigError(f"{file}: is no snapshot, or is damaged", fix=_MAKE) from None
    if header.format != FORMAT:
        raise ConfigError(f"{file}: is of format {header.format}, not {FORMAT}", fix=_MAKE)
    return header, len(line)


def check_age(header: Header, now_ms: int, retention_ms: int) -> None:
    """Refuse a snapshot from before tombstones that its topics may have forgotten.

    Counted from when the store was last level with its topics: a tombstone written after that
    is still there for as long as `delete.retention.ms`.
    """
    age_ms = now_ms - header.fresh_at_ms
    if age_ms >= retention_ms:
        raise ConfigError(
            f"the snapshot is {age_ms / 3.6e6:.0f} h old and the topics keep tombstones for "
            f"{retention_ms / 3.6e6:.0f} h: who was taken off the list could come back",
            fix="take a newer one, or start a keeper on an empty store",
        )


def restore_snapshot(
    file: Path, store: Path, now_ms: int, retention_ms: int, verify: Callable[[Path], Any]
) -> Header:
    """Put a snapshot in the place of a store that does not exist yet; the keeper reads the tail.

    `verify` walks the unpacked store before it is put in place.
    """
    header, begin = read_header(file)
    check_age(header, now_ms, retention_ms)
    if (store / IMAGE).exists():
        raise ConfigError(f"there is a store at {store}", fix="stop the engine and remove it first")
    fresh = store.with_name(f".{store.name}.{os.getpid()}")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        _unpack(file, begin, header, fresh / IMAGE)
        verify(fresh)
        (fresh / "lock.mdb").unlink(missing_ok=True)
        if store.is_dir():
            store.rmdir()
        fresh.rename(store)
        _flush_folder(store.parent)
    except OSError as error:
        raise ConfigError(f"{store}: {error.strerror}", fix="name a writable state_dir") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return header


def _unpack(file: Path, begin: int, header: Header, target: Path) -> None:
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as source, target.open("wb") as image:
        source.seek(begin)
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            image.write(chunk)
        image.flush()
        os.fsync(image.fileno())
    if size != header.image_bytes:
        what = "truncated" if size < header.image_bytes else "longer than written"
        raise ConfigError(f"{file}: is {what}", fix=_MAKE)
    if digest.hexdigest() != header.image_sha256:
        raise ConfigError(f"{file}: its bytes have changed since it was written", fix=_MAKE)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
