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

    def __init__(self, folder: Path, owner: str) -> None:
        """Open it for the cluster and topic `owner`; what was kept for another is dropped."""
        folder.mkdir(parents=True, exist_ok=True)
        # No flush per commit: after a power cut it is read again, see `offset`.
        self._env = lmdb.open(str(folder), map_size=STORE_MAP_BYTES, max_dbs=2, metasync=False)
        self._people = self._env.open_db(b"people")
        self._meta = self._env.open_db(b"meta")
        with self._env.begin(write=True) as txn:
            if txn.get(_OWNER, db=self._meta) != owner.encode():
                txn.drop(self._people, delete=False)
                txn.delete(_OFFSET, db=self._meta)
                txn.put(_OWNER, owner.encode(), db=self._meta)

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
            found = [txn.get(compact(key)) for key in keys]
        return [None if value is None else Held(*_VALUE.unpack(value)) for value in found]

    def write(
        self, changes: Iterable[tuple[bytes, Held | None]], offset: int | None = None
    ) -> None:
        """Note what has been committed; with `offset`, that the topic has been read so far."""
        with self._env.begin(write=True) as txn:
            for key, standing in sorted((compact(key), standing) for key, standing in changes):
                if standing is None:
                    txn.delete(key, db=self._people)
                else:
                    txn.put(key, _VALUE.pack(*standing), db=self._people)
            if offset is not None:
                txn.put(_OFFSET, str(offset).encode(), db=self._meta)

    def close(self) -> None:
        """Unmap it."""
        self._env.close()
