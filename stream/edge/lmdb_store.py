"""The whitelist and bureau store: one memory-mapped file set per host, one writer, many readers.

Offsets of the topics it was fed from are written in the same store transaction
as the data, so whatever is in the store, the offset beside it says exactly how
far it has read. A reader opens one snapshot per batch, so that a decision
never sees half of an update.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import lmdb
import msgspec

from stream.codec.plain import plain_twin
from stream.domain.bureau import BureauFeatures
from stream.domain.topics import BUREAU, WHITELIST
from stream.domain.whitelist import WhitelistEntry
from stream.errors import ConfigError
from stream.limits import STORE_MAP_BYTES

TOPICS = (WHITELIST, BUREAU)
READERS_MAX = 512
"""Reader slots: one per worker process, with room for tools that look in."""

# The texts were checked by the keeper's decoder before they were written here.
_entry = msgspec.msgpack.Decoder(plain_twin(WhitelistEntry))
_bureau = msgspec.msgpack.Decoder(plain_twin(BureauFeatures))
_values = msgspec.structs.astuple
_checked_entry = msgspec.msgpack.Decoder(WhitelistEntry)
_checked_bureau = msgspec.msgpack.Decoder(BureauFeatures)
_encoder = msgspec.msgpack.Encoder()
_FRESH_AT = b"fresh_at_ms"
_CLUSTER = b"cluster_id"

Change = tuple[str, bytes, WhitelistEntry | BureauFeatures | None]
"""Topic, key, and the record to put; None takes the key away."""


def _offset_key(topic: str, partition: int) -> bytes:
    return f"offset/{topic}/{partition}".encode()


class _Store:
    def __init__(self, folder: Path, *, readonly: bool) -> None:
        self._env = lmdb.open(
            str(folder),
            map_size=STORE_MAP_BYTES,
            max_dbs=3,
            max_readers=READERS_MAX,
            readonly=readonly,
            # One flush per commit: a power cut may undo the last commit, which its offset
            # undoes with it, and never tears the file.
            metasync=False,
        )
        create = not readonly
        self._tables = {topic: self._env.open_db(topic.encode(), create=create) for topic in TOPICS}
        self._meta = self._env.open_db(b"meta", create=create)

    def offsets(self) -> dict[tuple[str, int], int]:
        """Next offset to read, by topic and partition, as of the last commit."""
        found = {}
        with self._env.begin(db=self._meta) as txn, txn.cursor() as cursor:
            for key, value in cursor:
                if key.startswith(b"offset/"):
                    _, topic, partition = key.decode().split("/")
                    found[topic, int(partition)] = int(value)
        return found

    def counts(self) -> dict[str, int]:
        """How many keys each table holds."""
        with self._env.begin() as txn:
            return {topic: txn.stat(db)["entries"] for topic, db in self._tables.items()}

    def cluster_id(self) -> str | None:
        """The Kafka cluster this store was fed from, once it has been fed."""
        with self._env.begin(db=self._meta) as txn:
            value = txn.get(_CLUSTER)
        return None if value is None else value.decode()

    def raw(self, topic: str) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value of a table, in order of key, as of one moment."""
        with self._env.begin(db=self._tables[topic]) as txn, txn.cursor() as cursor:
            yield from cursor

    def close(self) -> None:
        """Unmap the store."""
        self._env.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


class StoreWriter(_Store):
    """The keeper's side: the one process that changes the store."""

    def __init__(self, folder: Path) -> None:
        """Open or create the store in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, readonly=False)

    def bind(self, cluster_id: str) -> None:
        """Remember which cluster the store belongs to."""
        with self._env.begin(db=self._meta, write=True) as txn:
            txn.put(_CLUSTER, cluster_id.encode())

    def apply(
        self,
        changes: list[Change],
        offsets: Mapping[tuple[str, int], int],
        fresh_at_ms: int | None,
    ) -> int:
        """Write changes and the offsets they bring the store to, all or nothing.

        A whitelist entry of an older list version than the one held is passed
        over; the number of those is returned.
        """
        older = 0
        with self._env.begin(write=True) as txn:
            for topic, key, record in changes:
                table = self._tables[topic]
                if record is None:
                    txn.delete(key, db=table)
                elif isinstance(record, WhitelistEntry) and self._is_older(txn, key, record):
                    older += 1
                else:
                    txn.put(key, _encoder.encode(record), db=table)
            for (topic, partition), offset in offsets.items():
                txn.put(_offset_key(topic, partition), str(offset).encode(), db=self._meta)
            if fresh_at_ms is not None:
                txn.put(_FRESH_AT, str(fresh_at_ms).encode(), db=self._meta)
        return older

    def _is_older(self, txn: lmdb.Transaction, key: bytes, entry: WhitelistEntry) -> bool:
        held = txn.get(key, db=self._tables[WHITELIST])
        return held is not None and _checked_entry.decode(held).list_version > entry.list_version


class _Snapshot:
    """One consistent reading of the store; implements the `Views` port."""

    def __init__(self, txn: Any, tables: Mapping[str, Any], meta: Any) -> None:  # noqa: ANN401 (lmdb names no table type)
        self._txn = txn
        self._whitelist = tables[WHITELIST]
        self._bureau = tables[BUREAU]
        self.fresh_at_ms = int(txn.get(_FRESH_AT, b"0", db=meta))

    def whitelist(self, applicant_token: str) -> WhitelistEntry | None:
        """The standing offer, or None when the person is not on the list."""
        value = self._txn.get(applicant_token.encode(), db=self._whitelist)
        return None if value is None else WhitelistEntry(*_values(_entry.decode(value)))

    def bureau(self, applicant_token: str) -> BureauFeatures | None:
        """The bureau view, or None when none has arrived."""
        value = self._txn.get(applicant_token.encode(), db=self._bureau)
        return None if value is None else BureauFeatures(*_values(_bureau.decode(value)))


class StoreReader(_Store):
    """A worker's side: read-only, shared with every other reader through the page cache."""

    def __init__(self, folder: Path) -> None:
        """Open the store in `folder`; ConfigError when no keeper has made one yet."""
        if not (folder / "data.mdb").is_file():
            raise ConfigError(f"no store at {folder}", fix="start a keeper: tenminute engine")
        try:
            super().__init__(folder, readonly=True)
        except lmdb.NotFoundError:
            raise ConfigError(f"the store at {folder} is empty", fix="start a keeper") from None

    @contextmanager
    def reading(self) -> Iterator[_Snapshot]:
        """One snapshot, held for the length of a batch."""
        with self._env.begin(buffers=False) as txn:
            yield _Snapshot(txn, self._tables, self._meta)


def read_entry(value: bytes) -> WhitelistEntry:
    """An offer as it is stored; msgspec.MsgspecError when it is none."""
    return _checked_entry.decode(value)


def read_bureau(value: bytes) -> BureauFeatures:
    """A bureau view as it is stored; msgspec.MsgspecError when it is none."""
    return _checked_bureau.decode(value)


def discard_store(folder: Path) -> None:
    """Remove a store that belongs to another cluster or is ahead of its topics."""
    shutil.rmtree(folder, ignore_errors=False)
