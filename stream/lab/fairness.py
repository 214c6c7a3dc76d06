"""How groups of people fare at a model's cut-off, with fairlearn.

The impact ratio is the lowest group's share of approvals over the highest's:
the four-fifths rule of the US Uniform Guidelines, 29 CFR 1607.4 (D). A group
counts there from 2 % of all (1607.15 A (2)); here it must also have a hundred
rows, as the share of fewer says little.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from fairlearn.metrics import MetricFrame, count, mean_prediction, selection_rate
from scipy.special import expit
from sklearn.metrics import recall_score

from stream.lab.data import FloatVector
from stream.lab.people import ABSENT, UNKNOWN, People
from stream.lab.people import Labels as Names
from stream.scoring.figures import Attribute, Fairness, Group

GROUP_ROWS_MIN = 100
GROUP_SHARE_MIN = 0.02
DECIMALS = 4
Flags = npt.NDArray[np.int64]


def fairness(rows: People, log_odds: FloatVector, approved: Flags) -> Fairness:
    """The figures of every attribute."""
    return Fairness(
        measured_on=rows.source,
        attributes=tuple(
            Attribute(name, groups, _ratio(groups), _ratio(groups, good=True))
            for name, names in rows.groups.items()
            for groups in [_groups(names, rows.loans.bad, log_odds, approved)]
        ),
        absent=ABSENT,
    )


def _groups(names: Names, bad: Flags, log_odds: FloatVector, approved: Flags) -> tuple[Group, ...]:
    """Every group by name; a good loan that was approved is a hit among the good."""
    decided = MetricFrame(
        metrics={"rows": count, "approved": selection_rate, "good": _approved_of_good},
        y_true=1 - bad,
        y_pred=approved,
        sensitive_features=names,
    ).by_group
    outcome = MetricFrame(
        metrics=mean_prediction, y_true=bad, y_pred=expit(log_odds), sensitive_features=names
    ).by_group
    went_bad = MetricFrame(
        metrics=mean_prediction, y_true=bad, y_pred=bad, sensitive_features=names
    ).by_group
    least = max(GROUP_ROWS_MIN, GROUP_SHARE_MIN * len(bad))
    return tuple(
        Group(
            name=str(name),
            rows=int(row["rows"]),
            approved=round(float(row["approved"]), DECIMALS),
            good_approved=round(float(row["good"]), DECIMALS),
            expected=round(float(outcome[name]), DECIMALS),
            observed=round(float(went_bad[name]), DECIMALS),
            judged=name != UNKNOWN and int(row["rows"]) >= least,
        )
        for name, row in decided.sort_index().iterrows()
    )


def _approved_of_good(good: Flags, approved: Flags) -> float:
    """Share of those who repaid that were approved; 0 where nobody repaid."""
    return float(recall_score(good, approved, zero_division=0.0))


def _ratio(groups: tuple[Group, ...], *, good: bool = False) -> float | None:
    """Lowest over highest share of approvals; None where there is nothing to compare."""
    shares = [group.good_approved if good else group.approved for group in groups if group.judged]
    if len(shares) < 2 or max(shares) == 0.0:
        return None
    return round(min(shares) / max(shares), DECIMALS)
