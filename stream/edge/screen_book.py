"""What stands on one partition of the whitelist, in 16 bytes a person: the screening's memory.

Derived from `whitelist.entries` and nothing else, so it may be deleted at any time; a process
that takes a partition over reads the topic's tail into its own book first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import lmdb

from stream.limits import STORE_MAP_BYTES
from stream.screening.batch import Held

_VALUE = struct.Struct("<QQ")
_OFFSET = b"offset"
_OWNER = b"topic"
_LEVEL_AT = b"level_at_ms"
_MADE_BY = b"made_by"
KEY_BYTES_MAX = 511
"""Of LMDB. No token is longer, so nobody stands under such a key."""


def compact(key: bytes) -> bytes:
    """A token's bytes at half their length; any other key as it is."""
    version, mark, digits = key.partition(b"_")
    if mark and len(digits) == 32:
        try:
            return version + b"_" + bytes.fromhex(digits.decode())
        except ValueError:
            return key
    return key


class ScreenBook:
    """One partition's book."""

    def __init__(self, folder: Path, owner: str, oldest_ms: int = 0, now_ms: int = 0) -> None:
        """Open it for the cluster and topic `owner`.

        What was kept for another is dropped, and what was last level with the topic at or before
        `oldest_ms`: tombstones written since may be gone. A book begun anew counts from `now_ms`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        # No flush per commit: after a power cut it is read again, see `offset`.
        self._env = lmdb.open(str(folder), map_size=STORE_MAP_BYTES, max_dbs=2, metasync=False)
        self._people = self._env.open_db(b"people")
        self._meta = self._env.open_db(b"meta")
        self._owner, self._now_ms = owner, now_ms
        with self._env.begin(db=self._meta) as txn:
            ours = txn.get(_OWNER) == owner.encode()
            too_old = int(txn.get(_LEVEL_AT, b"0")) <= oldest_ms and oldest_ms > 0
        if not ours or too_old:
            self.forget()

    def forget(self) -> None:
        """Drop all of it, to be read from the topic's beginning."""
        with self._env.begin(write=True) as txn:
            txn.drop(self._people, delete=False)
            txn.drop(self._meta, delete=False)
            txn.put(_OWNER, self._owner.encode(), db=self._meta)
            txn.put(_LEVEL_AT, str(self._now_ms).encode(), db=self._meta)

    @property
    def made_by(self) -> tuple[int, str]:
        """The highest list version read so far, and the digest of what made it, if it was said."""
        with self._env.begin(db=self._meta) as txn:
            version, _, digest = txn.get(_MADE_BY, b"0/").decode().partition("/")
        return int(version), digest

    @property
    def offset(self) -> int:
        """Where to read the whitelist's partition on."""
        with self._env.begin(db=self._meta) as txn:
            return int(txn.get(_OFFSET, b"0"))

    def __len__(self) -> int:
        """How many people stand on the list."""
        with self._env.begin() as txn:
            return int(txn.stat(self._people)["entries"])

    def standing(self, keys: Sequence[bytes]) -> list[Held | None]:
        """What stands for each key."""
        with self._env.begin(db=self._people) as txn:
            found = [txn.get(compact(key)) if _is_key(key) else None for key in keys]
        return [None if value is None else Held(*_VALUE.unpack(value)) for value in found]

    def write(
        self,
        changes: Iterable[tuple[bytes, Held | None]],
        offset: int | None = None,
        made_by: tuple[int, str] | None = None,
        level_at_ms: int | None = None,
    ) -> None:
        """Note what has been committed, the last word on each key.

        With `offset`, that the topic has been read so far; with `level_at_ms`, to its end.
        """
        latest = {compact(key): standing for key, standing in changes if _is_key(key)}
        with self._env.begin(write=True) as txn:
            for key, standing in sorted(latest.items()):
                if standing is None:
                    txn.delete(key, db=self._people)
                else:
                    txn.put(key, _VALUE.pack(*standing), db=self._people)
            if offset is not None:
                txn.put(_OFFSET, str(offset).encode(), db=self._meta)
            if made_by is not None:
                txn.put(_MADE_BY, f"{made_by[0]}/{made_by[1]}".encode(), db=self._meta)
            if level_at_ms is not None:
                txn.put(_LEVEL_AT, str(level_at_ms).encode(), db=self._meta)

    def close(self) -> None:
        """Unmap it."""
        self._env.close()


def _is_key(key: bytes) -> bool:
    return 0 < len(key) <= KEY_BYTES_MAX
