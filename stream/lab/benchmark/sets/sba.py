"""US small-business loans: farmers and merchants, and both samples of the full file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stream.lab.benchmark.recipe import Adapter, Bench, Input, Published, Reference, TimeSplit
from stream.lab.known import Barred, KnownAt

if TYPE_CHECKING:
    from pandas import DataFrame

TERM = Barred(
    ("term_months",),
    "the recorded term of a failed loan ends when it failed",
    KnownAt.AFTER,
)
SECTORS = ("11", "21", "22", "23", "31-33", "42", "44-45", "48-49", "51", "52", "53", "54", "55",
           "56", "61", "62", "71", "72", "81", "92")  # fmt: skip
MERCHANT_SECTORS = ("42", "44-45", "72")

AMOUNT = Input(
    "amount", "M_AMOUNT_TERM", why="larger loans are examined harder: no direction", of=("gr_appv",)
)
LIMIT = Input(
    "limit", "M_OFFER_USE", why="goes with the amount: no direction", of=("sba_appv", "gr_appv")
)
SHARE = Input(
    "amount_to_limit",
    "M_OFFER_USE",
    why="the guaranteed share names the programme, half being the express line: a kind, no scale",
    of=("sba_appv", "gr_appv"),
)
NEW = Input(
    "business_is_new",
    "M_BUSINESS_AGE",
    1,
    "a new business is never safer than the same one with a history",
    of=("new_exist",),
)
FAMILIES = {
    "M_AMOUNT_TERM": "Amount asked for",
    "M_OFFER_USE": "Amount against the standing offer",
    "M_BUSINESS_AGE": "Time in business",
    "M_PRODUCT": "Kind of loan asked for",
    "M_SECTOR": "Sector of the business",
}


def _core(table: DataFrame) -> DataFrame:
    return table.assign(
        amount=table["gr_appv"],
        limit=table["sba_appv"],
        amount_to_limit=table["gr_appv"] / table["sba_appv"],
        business_is_new=table["new_exist"] == 2,
        is_credit_line=table["rev_line_cr"],
        simplified_file=table["low_doc"],
        sector=table["naics_sector"].astype(str),
    )


def _of(sectors: tuple[str, ...]) -> Adapter:
    """Rows of these sectors, guaranteed in part, as in the engine's models."""
    return lambda table: table[
        table["naics_sector"].astype(str).isin(sectors) & (table["sba_appv"] < table["gr_appv"])
    ]


def _joined(inputs: tuple[Input, ...], joins: dict[str, str]) -> tuple[Input, ...]:
    """The inputs with some families joined to others."""
    return tuple(replace(each, family=joins.get(each.family, each.family)) for each in inputs)


_CORE = (
    AMOUNT,
    LIMIT,
    SHARE,
    NEW,
    Input("is_credit_line", "M_PRODUCT", why="a kind, not a quantity", of=("rev_line_cr",)),
    Input("simplified_file", "M_PRODUCT", why="a kind, not a quantity", of=("low_doc",)),
)
_SECTOR = Input("sector", "M_SECTOR", why="a kind", of=("naics_sector",), levels=MERCHANT_SECTORS)
_ROW = Barred(("row",), "the number of the row")

SBA_FARMER = Bench(
    name="sba_farmer",
    title="SBA farmers",
    file="sba/sba_core.csv.gz",
    adapt=_core,
    rows=_of(("11",)),
    # Amount, limit and share are one thing seen three ways: as two families they cost AUC.
    inputs=_joined(_CORE, {"M_OFFER_USE": "M_AMOUNT_TERM"}),
    barred=(TERM, _ROW, Barred(("naics_sector",), "one value in this segment")),
    families={
        "M_AMOUNT_TERM": "Amount asked for, and against the standing offer",
        "M_BUSINESS_AGE": FAMILIES["M_BUSINESS_AGE"],
        "M_PRODUCT": FAMILIES["M_PRODUCT"],
    },
    reference=Reference(
        0.697, what="one model of all sectors, loans guaranteed in full among its rows"
    ),
)
SBA_MERCHANT = Bench(
    name="sba_merchant",
    title="SBA merchants",
    file="sba/sba_core.csv.gz",
    adapt=_core,
    rows=_of(MERCHANT_SECTORS),
    # The share guaranteed and the kind of loan are the programme's terms: apart they cost AUC.
    inputs=_joined((*_CORE, _SECTOR), {"M_OFFER_USE": "M_PRODUCT"}),
    barred=(TERM, _ROW),
    families={
        "M_AMOUNT_TERM": FAMILIES["M_AMOUNT_TERM"],
        "M_PRODUCT": "Kind of loan asked for, and the standing offer",
        "M_BUSINESS_AGE": FAMILIES["M_BUSINESS_AGE"],
        "M_SECTOR": FAMILIES["M_SECTOR"],
    },
    coarser={
        "amount and terms as one family": {"M_AMOUNT_TERM": "M_PRODUCT"},
        "amount, terms and time in business as one": {
            "M_AMOUNT_TERM": "M_PRODUCT",
            "M_BUSINESS_AGE": "M_PRODUCT",
        },
    },
)


def _full(table: DataFrame) -> DataFrame:
    flag = table["rev_line_cr"].where(table["rev_line_cr"].isin(["Y", "N", "0", "T"]))
    return _core(table).assign(
        credit_line=flag,
        simplified=table["low_doc"].where(table["low_doc"].isin(["Y", "N"])),
        employees=table["no_emp"],
        jobs_created=table["create_job"],
        jobs_kept=table["retained_job"],
        is_franchise=table["franchise_code"] > 1,
        place=table["urban_rural"].map({0: "undefined", 1: "urban", 2: "rural"}),
        bank_is_local=table["state"] == table["bank_state"],
    )


_FULL = (
    AMOUNT,
    LIMIT,
    SHARE,
    NEW,
    Input("is_franchise", "M_BUSINESS_AGE", why="a kind", of=("franchise_code",)),
    Input(
        "credit_line", "M_PRODUCT", why="a kind", of=("rev_line_cr",), levels=("Y", "N", "0", "T")
    ),
    Input("simplified", "M_PRODUCT", why="a kind", of=("low_doc",), levels=("Y", "N")),
    Input("sector", "M_SECTOR", why="a kind", of=("naics_sector",), levels=("0", *SECTORS)),
    Input("employees", "M_SIZE", why="small and large both fail", of=("no_emp",)),
    Input("jobs_created", "M_SIZE", why="a promise, not a fact", of=("create_job",)),
    Input("jobs_kept", "M_SIZE", why="a promise, not a fact", of=("retained_job",)),
    Input(
        "place",
        "M_PLACE",
        why="a kind",
        of=("urban_rural",),
        levels=("undefined", "urban", "rural"),
    ),
    Input("bank_is_local", "M_PLACE", why="a kind", of=("state", "bank_state")),
)
_FULL_BARRED = (
    TERM,
    Barred(
        ("disbursement_date", "disbursement_gross", "mis_status", "chg_off_date",
         "chg_off_prin_gr"),
        "what became of the loan",
        KnownAt.AFTER,
    ),
    Barred(("approval_date", "approval_fy", "loan_nr", "sample"), "when and how it got here"),
    Barred(("bank",), "another lender's name: one bank decides here"),
    Barred(("city", "zip3"), "thousands of places, and who lives there"),
    Barred(("naics",), "its first two digits are used"),
)  # fmt: skip
_FULL_FAMILIES = FAMILIES | {
    "M_SIZE": "Size of the business",
    "M_PLACE": "Where the business is",
}
_XGBOOST = Published(
    0.89,
    "XGBoost on the national file",
    "README of leonhart1917/Machine-learning",
    "not comparable: its inputs are unknown, the leaking term is probably among them",
)

SBA_BLOCK = Bench(
    name="sba_block",
    title="SBA full, natural block",
    file="sba/sba_full.csv.gz",
    adapt=_full,
    rows=lambda table: table[table["sample"].isin(["block", "both"])],
    inputs=_FULL,
    barred=_FULL_BARRED,
    families=_FULL_FAMILIES,
    time=TimeSplit("approval_date", "2004-10-01", "approved before October 2004, and after"),
    published=(_XGBOOST,),
    reference=Reference(0.776, 0.419),
    note="The block is one good year (1997) and a few bad ones (2003 to 2006): much of what "
    "ranks its rows is the year they are from.",
)
SBA_BALANCED = Bench(
    name="sba_balanced",
    title="SBA full, balanced sample",
    file="sba/sba_full.csv.gz",
    adapt=_full,
    rows=lambda table: table[table["sample"].isin(["balanced", "both"])],
    inputs=_FULL,
    barred=_FULL_BARRED,
    families=_FULL_FAMILIES,
    time=TimeSplit("approval_date", "2006-01-01", "approved before 2006, and after"),
    published=(_XGBOOST,),
    reference=Reference(0.803, 0.452),
    note="Half of the sample is bad by design: the ranking counts, no level does.",
)
