"""The published case of California: real estate and leasing, the paper's own training half."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.lab.benchmark.recipe import Bench, Input, Published
from stream.lab.benchmark.sets.sba import FAMILIES
from stream.lab.known import Barred, KnownAt

if TYPE_CHECKING:
    from pandas import DataFrame


def _adapt(table: DataFrame) -> DataFrame:
    return table.assign(
        amount=table["GrAppv"],
        limit=table["SBA_Appv"],
        share=table["Portion"],
        is_new=table["New"],
        is_franchise=table["FranchiseCode"] > 1,
        credit_line=table["RevLineCr"].where(table["RevLineCr"].isin(["Y", "N", "0", "T"])),
        simplified=table["LowDoc"].where(table["LowDoc"].isin(["Y", "N"])),
        trade=table["NAICS"].astype(str).str[:3],
        place=table["UrbanRural"].map({0: "undefined", 1: "urban", 2: "rural"}),
    )


_PLEDGE = "a promise, not a fact"

SBA_CASE = Bench(
    name="sba_case",
    title="SBA case, California",
    file="sba/sba_case_ca.csv.gz",
    adapt=_adapt,
    inputs=(
        Input("amount", "M_AMOUNT_TERM", why="larger loans are examined harder", of=("GrAppv",)),
        Input("limit", "M_OFFER_USE", why="goes with the amount", of=("SBA_Appv",)),
        Input("share", "M_OFFER_USE", why="the share names the programme", of=("Portion",)),
        Input(
            "is_new",
            "M_BUSINESS_AGE",
            1,
            "a new business is never safer than the same one with a history",
            of=("New", "NewExist"),
        ),
        Input("is_franchise", "M_BUSINESS_AGE", why="a kind", of=("FranchiseCode",)),
        Input("credit_line", "M_PRODUCT", why="a kind", of=("RevLineCr",),
              levels=("Y", "N", "0", "T")),
        Input("simplified", "M_PRODUCT", why="a kind", of=("LowDoc",), levels=("Y", "N")),
        Input("trade", "M_SECTOR", why="a kind", of=("NAICS",), levels=("531", "532", "533")),
        Input("NoEmp", "M_SIZE", why="small and large both fail"),
        Input("CreateJob", "M_SIZE", why=_PLEDGE),
        Input("RetainedJob", "M_SIZE", why=_PLEDGE),
        Input("place", "M_PLACE", why="a kind", of=("UrbanRural",),
              levels=("undefined", "urban", "rural")),
    ),
    barred=(
        Barred(("Term", "RealEstate", "daysterm"),
               "the recorded term of a failed loan ends when it failed", KnownAt.AFTER),
        Barred(("Recession", "xx"), "made from the day the loan ended", KnownAt.AFTER),
        Barred(("ChgOffDate", "DisbursementDate", "DisbursementGross", "BalanceGross",
                "MIS_Status", "ChgOffPrinGr", "Default"), "what became of the loan", KnownAt.AFTER),
        Barred(("Selected", "LoanNr_ChkDgt", "ApprovalDate", "ApprovalFY"),
               "when and how it got here"),
        Barred(("Bank", "BankState"), "another lender's name: one bank decides here"),
        Barred(("City", "State", "zip3"), "thousands of places, and who lives there"),
    ),
    families=FAMILIES | {
        "M_SIZE": "Size of the business",
        "M_PLACE": "Where the business is",
    },
    published=(
        Published(
            0.75,
            "logistic model of three inputs, 'over 0.75', 32.16 % misclassified",
            "Li, Mickel, Taylor 2018, doi 10.1080/10691898.2018.1434342",
            "two of its inputs are made from the term and the day a loan ended: they know the end",
        ),
    ),
    note="A thousand rows prove little.",
)  # fmt: skip
