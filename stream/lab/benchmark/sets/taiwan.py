"""Taiwan's credit cards: a behaviour score of existing customers, not an application score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.lab.benchmark.recipe import Bench, Input, Published, Reference
from stream.lab.known import Barred

if TYPE_CHECKING:
    from pandas import DataFrame

STATUS = ("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6")
BILLS = tuple(f"BILL_AMT{month}" for month in range(1, 7))
PAID = tuple(f"PAY_AMT{month}" for month in range(1, 7))


def _adapt(table: DataFrame) -> DataFrame:
    """Months count back from September; -2, -1 and 0 of the status are kinds of "on time"."""
    adapted = table.copy()
    late = table[list(STATUS)].clip(lower=0)
    adapted["worst"] = late.max(axis=1)
    adapted["late_months"] = (late > 0).sum(axis=1)
    adapted["late_sum"] = late.sum(axis=1)
    for month, name in enumerate(STATUS, 1):
        adapted[f"status_{month}"] = table[name]
    bills = table[list(BILLS)].clip(lower=0)
    for month, bill in enumerate(BILLS, 1):
        adapted[f"use_{month}"] = bills[bill] / table["LIMIT_BAL"]
    adapted["use_mean"] = bills.mean(axis=1) / table["LIMIT_BAL"]
    adapted["use_rise"] = adapted["use_1"] - adapted["use_6"]
    for month in range(1, 6):
        due = bills[BILLS[month]]
        adapted[f"paid_{month}"] = table[PAID[month - 1]]
        adapted[f"paid_part_{month}"] = (table[PAID[month - 1]] / due.clip(lower=1)).clip(upper=2)
    adapted["paid_6"] = table["PAY_AMT6"]
    adapted["paid_mean"] = table[list(PAID)].mean(axis=1)
    adapted["limit"] = table["LIMIT_BAL"]
    return adapted


_MONTHS = range(1, 7)
_LATE = "each month late is a step towards the next"
_KINDS = "-2, -1 and 0 are kinds of being on time, not a scale"
_LESS = "paying more never makes the next payment less likely"

TAIWAN = Bench(
    name="taiwan",
    title="Taiwan credit cards",
    file="taiwan/taiwan.csv.gz",
    adapt=_adapt,
    inputs=(
        *(Input(f"status_{m}", "M_PAYMENTS", 0, _KINDS, (STATUS[m - 1],)) for m in _MONTHS),
        Input("worst", "M_PAYMENTS", 1, _LATE, STATUS),
        Input("late_months", "M_PAYMENTS", 1, _LATE, STATUS),
        Input("late_sum", "M_PAYMENTS", 1, _LATE, STATUS),
        *(
            Input(f"use_{m}", "M_UTILISATION", 0, "unused cards default too", (BILLS[m - 1],))
            for m in _MONTHS
        ),
        Input("use_mean", "M_UTILISATION", 0, "unused cards default too", (*BILLS, "LIMIT_BAL")),
        Input("use_rise", "M_UTILISATION", 0, "unused cards default too", (*BILLS, "LIMIT_BAL")),
        *(Input(f"paid_{m}", "M_PAYMENTS", -1, _LESS, (PAID[m - 1],)) for m in _MONTHS),
        *(
            Input(f"paid_part_{m}", "M_PAYMENTS", 0, "nothing due is no merit", (BILLS[m],))
            for m in range(1, 6)
        ),
        Input("paid_mean", "M_PAYMENTS", -1, _LESS, PAID),
        Input("limit", "M_UTILISATION", -1, "the bank trusts with more", ("LIMIT_BAL",)),
    ),
    barred=(
        Barred(("SEX", "AGE", "MARRIAGE"), "protected", protected=True),
        Barred(("EDUCATION",), "stands close to age and origin", protected=True),
        Barred(("ID",), "the number of the row"),
    ),
    # Late months and amounts paid are one behaviour: as two families they cost AUC.
    families={
        "M_PAYMENTS": "How this card's bills were paid",
        "M_UTILISATION": "Limit of the card, and its use",
    },
    published=(
        Published(
            0.783,
            "gradient boosting",
            "Shi, ICIAAI 2025, doi 10.2991/978-94-6463-823-3_20",
            "another split, sex, age and marriage among the inputs",
        ),
    ),
    reference=Reference(0.790, 0.444),
    age="AGE",
    accepted="age is no input and nobody is decided by this model; a bank that used such a one "
    "would have to measure it on its own customers and look for one that does less of it",
)
