"""What the watch knows, on disk: one SQLite file that moves with the offsets it has read.

Loans, open windows and offsets change in one transaction. So a watch that is
killed goes on from its last save as if nothing had been read since.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, Self

import msgspec

from stream.errors import ConfigError
from stream.watch.vintage import Loan
from stream.watch.watch import Kept

FILE = "watch.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS loans (id TEXT PRIMARY KEY, facts BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offsets (
    topic TEXT, partition INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""
_loan = msgspec.msgpack.Decoder(Loan)
_kept = msgspec.msgpack.Decoder(Kept)
_encoder = msgspec.msgpack.Encoder()


class Next(NamedTuple):
    """Where to read on."""

    topic: str
    partition: int
    offset: int


class WatchBook:
    """The open file; holds loans by decision id like a dict."""

    _lock: IO[str] | None = None

    def __init__(self, folder: Path) -> None:
        """Open or begin the book of a folder; ConfigError when another watch writes in it."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise ConfigError(
                f"{folder}: another watch writes here", fix="stop it, or look with --once"
            ) from None
        self._open(sqlite3.connect(folder / FILE))
        self._db.execute("PRAGMA journal_mode = WAL")

    @classmethod
    def copy_of(cls, folder: Path) -> Self:
        """The same in memory, as last saved: what is done with it leaves the file alone."""
        book = cls.__new__(cls)
        memory = sqlite3.connect(":memory:")
        if (folder / FILE).is_file():
            with sqlite3.connect(folder / FILE) as source:
                source.backup(memory)
            source.close()
        book._open(memory)
        return book

    def _open(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._db.executescript(_SCHEMA)

    def get(self, key: str, /) -> Loan | None:
        """The loan of a decision."""
        row = self._db.execute("SELECT facts FROM loans WHERE id = ?", (key,)).fetchone()
        return _loan.decode(row[0]) if row else None

    def __setitem__(self, key: str, loan: Loan, /) -> None:
        """Know this of a decision's loan; lost unless saved."""
        facts = _encoder.encode(loan)
        self._db.execute("INSERT OR REPLACE INTO loans VALUES (?, ?)", (key, facts))

    def loans(self) -> Iterator[Loan]:
        """All of them."""
        for (facts,) in self._db.execute("SELECT facts FROM loans"):
            yield _loan.decode(facts)

    def offsets(self) -> list[Next]:
        """Where reading goes on; empty at the very start."""
        return [Next(*row) for row in self._db.execute("SELECT * FROM offsets")]

    def kept(self) -> Kept | None:
        """What else was saved."""
        value = self._value("kept")
        return None if value is None else _kept.decode(value)

    def belongs_to(self, cluster_id: str) -> None:
        """Bind the book to its cluster; ConfigError when it is another's: offsets mean nothing."""
        value = self._value("cluster")
        if value is None:
            self._set("cluster", cluster_id.encode())
        elif value != cluster_id.encode():
            raise ConfigError(
                f"the watch's book is of the cluster {value.decode()}, this is {cluster_id}",
                fix="name another state_dir, or move its folder `watch` away",
            )

    def save(self, offsets: list[Next], kept: Kept) -> None:
        """Commit loans, windows and offsets together."""
        self._db.executemany("INSERT OR REPLACE INTO offsets VALUES (?, ?, ?)", offsets)
        self._set("kept", _encoder.encode(kept))
        self._db.commit()

    def close(self) -> None:
        """Let go of the file; what was not saved is gone."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()

    def _value(self, name: str) -> bytes | None:
        row = self._db.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def _set(self, name: str, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, value))
