"""What was paid, on disk: one SQLite row per decision and loan, so that a repeat pays nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    decision_id TEXT PRIMARY KEY,
    amount_fen INTEGER NOT NULL,
    applicant_key BLOB NOT NULL,
    outcome BLOB NOT NULL,
    announced INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unannounced ON payments (decision_id) WHERE announced = 0;
CREATE UNIQUE INDEX IF NOT EXISTS one_loan
    ON payments (applicant_key, json_extract(CAST(outcome AS TEXT), '$.application_id'));
"""


class Payment(NamedTuple):
    """One approval paid, with the outcome record that announces it."""

    decision_id: str
    amount_fen: int
    applicant_key: bytes
    outcome: bytes


class PaymentLedger:
    """The file of payments; every method is one transaction."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(file)
        # A write-ahead log with full sync: a payment is on disk before its offset is committed.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        """Return the open ledger."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._db.close()

    def pay(self, payments: Iterable[Payment]) -> tuple[int, int]:
        """Pay what was not paid before, all or nothing; how many that were, and their sum."""
        count = total_fen = 0
        with self._db:
            for payment in payments:
                cursor = self._db.execute(
                    "INSERT INTO payments (decision_id, amount_fen, applicant_key, outcome) "
                    "VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    payment,
                )
                count += cursor.rowcount
                total_fen += payment.amount_fen * cursor.rowcount
        return count, total_fen

    def unannounced(self) -> list[Payment]:
        """Payments whose outcome is not known to be published, a crash's leftovers included."""
        rows = self._db.execute(
            "SELECT decision_id, amount_fen, applicant_key, outcome FROM payments "
            "WHERE announced = 0 ORDER BY decision_id"
        )
        return [Payment(*row) for row in rows]

    def announced(self, payments: Iterable[Payment]) -> None:
        """Note that the outcomes of `payments` were acknowledged by the broker."""
        with self._db:
            self._db.executemany(
                "UPDATE payments SET announced = 1 WHERE decision_id = ?",
                [(payment.decision_id,) for payment in payments],
            )

    def totals(self) -> tuple[int, int]:
        """How many payments there are, and their sum in fen."""
        count, total_fen = self._db.execute(
            "SELECT COUNT(*), COALESCE(SUM(amount_fen), 0) FROM payments"
        ).fetchone()
        return int(count), int(total_fen)
