"""The dated small-business loans as the replay takes them, and what of them was known when.

The half of `sba_full` that was drawn by outcome (`balanced` and `both`) covers all
years; as many bad loans as good ones were drawn, so bad ones are too many. Two things
undo it: weights where a model learns, and `natural`, which keeps each good loan and a
bad one with the chance that makes the two as frequent as in the programme. The
other half (`block`) is one stretch of loan numbers, each standing for itself alone: by
weight two in a hundred of the whole, and mostly of four years. It is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.errors import ConfigError
from stream.lab.data import partly_guaranteed
from stream.scoring.features import MISSING

if TYPE_CHECKING:
    from pandas import DataFrame

HORIZON_MONTHS = 48
"""A loan counts as bad in learning when it was charged off so soon: by then half of those that
ever will be have been. A loan is learned from when it is older than this, and not before."""

FIRST_APPROVAL = 1989
"""Of older approvals the table holds the bad ones almost alone."""

PROGRAMME_GOOD, PROGRAMME_BAD = 739_609, 157_558
"""Loans of the whole table by outcome (Li, Mickel and Taylor 2018); 1,997 have none."""

BAD_PER_GOOD = PROGRAMME_BAD / PROGRAMME_GOOD
"""The weight of a bad row where a good one has weight 1, as the same number of each was drawn."""

_COLUMNS = (
    "loan_nr", "sample", "approval_date", "new_exist", "rev_line_cr", "low_doc", "gr_appv",
    "sba_appv", "chg_off_date", "chg_off_prin_gr", "bad",
)  # fmt: skip
Rows = npt.NDArray[np.float32]


class Past(NamedTuple):
    """One loan: what was asked on which day, and what became of it."""

    number: str
    approved_ms: int
    amount_fen: int
    limit_fen: int
    is_new: bool | None
    is_line: bool | None
    is_simple: bool | None
    bad_ms: int | None
    """When it was charged off; None where it was repaid."""
    loss_share: float
    """Charged off, as a share of the amount approved."""

    @property
    def year(self) -> int:
        """The year of approval."""
        return date_of(self.approved_ms).year

    @property
    def features(self) -> dict[str, float]:
        """Under the engine's names, with its sign for what is not known."""
        return {
            "requested_amount_fen": float(self.amount_fen),
            "offer_limit_fen": float(self.limit_fen),
            "amount_to_limit": self.amount_fen / self.limit_fen,
            "business_is_new": _number(self.is_new),
            "is_credit_line": _number(self.is_line),
            "simplified_file": _number(self.is_simple),
        }


def _number(known: bool | None) -> float:
    return MISSING if known is None else float(known)


def date_of(at_ms: int) -> datetime:
    """The instant as a date and time of UTC."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC)


def start_of(year: int) -> int:
    """The first millisecond of a year, UTC."""
    return round(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1_000)


@lru_cache(maxsize=16_384)
def later(at_ms: int, months: int) -> int:
    """The same day so many months on, or the month's last where it has no such day."""
    date = date_of(at_ms)
    month = date.year * 12 + date.month - 1 + months
    for day in range(date.day, date.day - 4, -1):
        try:
            moved = date.replace(year=month // 12, month=month % 12 + 1, day=day)
        except ValueError:
            continue
        return round(moved.timestamp() * 1_000)
    raise AssertionError("every month has 28 days")


def bad_within(loan: Past, months: int = HORIZON_MONTHS) -> bool:
    """Whether it was charged off before it was so many months old."""
    return loan.bad_ms is not None and loan.bad_ms < later(loan.approved_ms, months)


class Known(NamedTuple):
    """What may be learned from at one moment."""

    loans: tuple[Past, ...]
    bad: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    """Mean 1; a loan's share of the programme."""

    def matrix(self, names: Sequence[str]) -> Rows:
        """The features in order as a model sees them."""
        return matrix(self.loans, names)


def matrix(loans: Sequence[Past], names: Sequence[str]) -> Rows:
    """Rows of features (loans, names) in the model's own precision."""
    columns = [loan.features for loan in loans]
    return np.asarray([[row[name] for name in names] for row in columns], dtype=np.float32)


def known_before(loans: Sequence[Past], at_ms: int) -> Known:
    """The loans whose whole horizon lies before the moment, each with what it showed within it.

    An outcome after the moment cannot matter: the horizon it would have to lie in
    has ended before.
    """
    first_ms = start_of(FIRST_APPROVAL)
    seen = tuple(
        loan
        for loan in loans
        if loan.approved_ms >= first_ms and later(loan.approved_ms, HORIZON_MONTHS) <= at_ms
    )
    bad = np.asarray([bad_within(loan) for loan in seen], dtype=np.int64)
    weights = np.asarray([1.0 if loan.bad_ms is None else BAD_PER_GOOD for loan in seen])
    return Known(seen, bad, weights / weights.mean() if seen else weights)


def natural(loans: Sequence[Past], draw: int) -> list[Past]:
    """Every good loan, and of the bad ones as many as the programme had to that many good ones.

    Which ones hangs on the loan's number and the draw alone.
    """
    return [loan for loan in loans if loan.bad_ms is None or _chance(loan, draw) < BAD_PER_GOOD]


def _chance(loan: Past, draw: int) -> float:
    digest = hashlib.sha256(f"{draw}/{loan.number}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2.0**64


def load(data: Path) -> list[Past]:
    """The loans in the order of their approval, by number within a day; ConfigError without."""
    import pandas as pd  # noqa: PLC0415  an extra: the message below must come first

    path = data / "sba" / "sba_full.csv.gz"
    if not path.is_file():
        raise ConfigError(f"{path}: no such file", fix="name the folder that holds sba/ by --data")
    table = pd.read_csv(
        path,
        usecols=list(_COLUMNS),
        dtype={"loan_nr": str},
        parse_dates=["approval_date", "chg_off_date"],
    )
    table = table[_usable(table)].sort_values(["approval_date", "loan_nr"], kind="stable")
    return [_past(row) for row in table.itertuples(index=False)]


def _usable(table: DataFrame) -> Any:  # noqa: ANN401  (untyped rows)
    drawn_by_outcome = table["sample"].isin(["balanced", "both"])
    dated = (table["bad"] == 0) | table["chg_off_date"].notna()
    return drawn_by_outcome & dated & partly_guaranteed(table)


def _past(row: Any) -> Past:  # noqa: ANN401  (untyped row)
    yes_no = {"Y": True, "N": False}
    return Past(
        number=row.loan_nr,
        approved_ms=_ms(row.approval_date),
        amount_fen=round(row.gr_appv * 100),
        limit_fen=round(row.sba_appv * 100),
        is_new={1.0: False, 2.0: True}.get(row.new_exist),
        is_line=yes_no.get(row.rev_line_cr),
        is_simple=yes_no.get(row.low_doc),
        bad_ms=_ms(row.chg_off_date) if row.bad else None,
        loss_share=min(row.chg_off_prin_gr / row.gr_appv, 1.0) if row.bad else 0.0,
    )


def _ms(date: Any) -> int:  # noqa: ANN401  (untyped timestamp)
    return int(date.timestamp()) * 1_000  # a pandas timestamp without a zone counts as UTC
