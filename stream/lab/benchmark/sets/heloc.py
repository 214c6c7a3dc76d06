"""FICO home equity lines: a bureau file whose three kinds of "unknown" stay apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stream.lab.benchmark.recipe import Bench, Input, Published, Reference
from stream.lab.known import Barred

if TYPE_CHECKING:
    from pandas import DataFrame

NO_RECORD, NOT_USABLE, NOT_MET = -9, -8, -7
NEVER_MONTHS = 120
"""Months since an event that never took place: beyond any that did (83 and 24)."""
NEVER = {"MSinceMostRecentDelq": NOT_MET, "MSinceMostRecentInqexcl7days": NOT_USABLE}
"""Which code says so: "never late" is -7. "No inquiry" is -8, beside which both counts are zero;
-7 stands there with one to 24 inquiries, so it is unknown and not never."""


def _adapt(table: DataFrame) -> DataFrame:
    """`no_hit` is a report without a record; "never" is a very long time, the rest is unknown."""
    adapted = table.copy()
    adapted["no_hit"] = table["ExternalRiskEstimate"] == NO_RECORD
    for name, code in NEVER.items():
        adapted[name] = adapted[name].replace(code, NEVER_MONTHS)
    for each in _INPUTS[1:]:
        values = adapted[each.name].astype(float)
        adapted[each.name] = values.mask(values < 0, np.nan)
    return adapted


_KEY = "direction of the challenge's own data dictionary"
_FREE = "no direction in the challenge's own data dictionary"
_INPUTS = (
    Input("no_hit", "M_CREDIT_DEPTH", why="a kind", of=("ExternalRiskEstimate",)),
    Input("ExternalRiskEstimate", "M_BUREAU_SCORE", -1, _KEY),
    Input("MSinceOldestTradeOpen", "M_CREDIT_DEPTH", -1, _KEY),
    Input("AverageMInFile", "M_CREDIT_DEPTH", -1, _KEY),
    Input("NumSatisfactoryTrades", "M_CREDIT_DEPTH", -1, _KEY),
    Input("NumTotalTrades", "M_CREDIT_DEPTH", 0, _FREE),
    Input("PercentInstallTrades", "M_CREDIT_DEPTH", 0, _FREE),
    Input("NumTrades60Ever2DerogPubRec", "M_DELINQUENCY", 1, _KEY),
    Input("NumTrades90Ever2DerogPubRec", "M_DELINQUENCY", 1, _KEY),
    Input("PercentTradesNeverDelq", "M_DELINQUENCY", -1, _KEY),
    Input("MSinceMostRecentDelq", "M_DELINQUENCY", -1, _KEY),
    Input("MaxDelq2PublicRecLast12M", "M_DELINQUENCY", -1, _KEY),
    Input("MaxDelqEver", "M_DELINQUENCY", -1, _KEY),
    Input("MSinceMostRecentTradeOpen", "M_INQUIRIES", -1, _KEY),
    Input("NumTradesOpeninLast12M", "M_INQUIRIES", 1, _KEY),
    Input("MSinceMostRecentInqexcl7days", "M_INQUIRIES", -1, _KEY),
    Input("NumInqLast6M", "M_INQUIRIES", 1, _KEY),
    Input("NumInqLast6Mexcl7days", "M_INQUIRIES", 1, _KEY),
    Input("NetFractionRevolvingBurden", "M_UTILISATION", 1, _KEY),
    Input("NetFractionInstallBurden", "M_UTILISATION", 1, _KEY),
    Input("NumRevolvingTradesWBalance", "M_UTILISATION", 0, _FREE),
    Input("NumInstallTradesWBalance", "M_UTILISATION", 0, _FREE),
    Input("NumBank2NatlTradesWHighUtilization", "M_UTILISATION", 1, _KEY),
    Input("PercentTradesWBalance", "M_UTILISATION", 0, _FREE),
)

HELOC = Bench(
    name="heloc",
    title="HELOC (FICO challenge)",
    file="heloc/heloc.csv.gz",
    adapt=_adapt,
    inputs=_INPUTS,
    barred=(Barred(("row",), "the number of the row"),),
    families={
        "M_BUREAU_SCORE": "Score of the bureau",
        "M_CREDIT_DEPTH": "Age, kinds and number of accounts",
        "M_DELINQUENCY": "Payment history with others",
        "M_INQUIRIES": "Recent inquiries and new accounts",
        "M_UTILISATION": "Use of existing credit",
    },
    published=(
        Published(
            0.794,
            "WoE scorecard, test rows",
            "OptBinning tutorial 'Scorecard monitoring'",
            "one 70/30 split of all 10,459 rows",
        ),
        Published(
            0.80,
            "two-layer additive risk model",
            "Chen et al., arXiv 1811.12615",
            "about, from memory: the paper says 'as accurate as other neural networks'",
        ),
    ),
    reference=Reference(0.799, 0.463),
)
