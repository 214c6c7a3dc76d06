"""How people of different ages fare under a model that does not know their age, with fairlearn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from stream.errors import ModelError
from stream.lab.benchmark.recipe import Bench
from stream.lab.benchmark.table import Table
from stream.lab.benchmark.trial import FAMILY, Trial
from stream.lab.data import Loans
from stream.lab.fairness import fairness
from stream.lab.people import UNKNOWN, People
from stream.scoring.figures import Attribute
from stream.scoring.gate import IMPACT_RATIO_MIN

APPROVED_SHARE = 0.6
"""As the shipped models' suggested cut-offs."""

EDGES = (18, 25, 35, 45, 55, 62, 121)
"""From 62 on a person is elderly: Regulation B, 12 CFR 1002.2 (o)."""


def bands(ages: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    """The band of each age; an age outside of 18 to 120 is none."""
    names = [f"{low} to {high - 1}" for low, high in pairwise(EDGES[:-1])]
    names = [UNKNOWN, *names, f"{EDGES[-2]} and over", UNKNOWN]
    return np.array(names)[np.digitize(np.nan_to_num(ages, nan=0.0), EDGES)]


def by_age(table: Table, trial: Trial) -> Attribute | None:
    """The family-constrained model's approvals by age band; None where the data has no age."""
    if table.ages is None:
        return None
    log_odds = trial.log_odds[FAMILY]
    cut = np.quantile(log_odds, APPROVED_SHARE, method="lower")
    people = People(Loans({}, table.bad[trial.rows]), {"age": bands(table.ages[trial.rows])}, "")
    approved = (log_odds <= cut).astype(np.int64)
    return fairness(people, log_odds, approved).attributes[0]


def refuse_unfair(bench: Bench, found: Attribute | None) -> None:
    """A ratio below the line that nobody accepted with a reason ends the run."""
    ratio = None if found is None else found.impact_ratio
    if ratio is not None and ratio < IMPACT_RATIO_MIN and bench.accepted is None:
        raise ModelError(
            f"{bench.name}: impact ratio by age {ratio:.2f}, at least {IMPACT_RATIO_MIN}",
            fix="change the recipe, or say under its `accepted` why the line does not hold",
        )
