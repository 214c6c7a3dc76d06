"""Gradient-boosted trees that each stay inside one reason family, and their figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from stream.lab.data import Loans
from stream.lab.recipe import Recipe
from stream.scoring.features import MISSING
from stream.scoring.figures import Measured

METRIC_DECIMALS = 4
LEAF_STEP = 2.0**-20
"""Leaves and base are multiples of this, so any sum below `SUM_MAX` is exact in float32 (24 bits):
no order of adding, batch, thread or processor changes a score."""

SUM_MAX = 2.0**24 * LEAF_STEP
FloatMatrix = npt.NDArray[np.float32]
FloatVector = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fit:
    """Trees whose raw score, added to `base_log_odds`, is the log-odds of bad."""

    booster: Any
    base_log_odds: float

    def log_odds(self, rows: FloatMatrix) -> FloatVector:
        """Log-odds of bad as LightGBM itself computes it."""
        raw: FloatVector = self.booster.predict(rows, raw_score=True, num_threads=1)
        return raw + self.base_log_odds


def _parameters(recipe: Recipe, *, constrained: bool) -> dict[str, object]:
    parameters: dict[str, object] = {
        "objective": "binary",
        "num_leaves": recipe.shape.leaves,
        "learning_rate": recipe.shape.learning_rate,
        "min_data_in_leaf": recipe.shape.min_leaf_rows,
        "lambda_l2": recipe.shape.l2,
        "seed": recipe.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        # The base stays outside the trees, so no family carries the average of all cases.
        "boost_from_average": False,
        # No NaN ever reaches the trees: unknown is a value of its own.
        "use_missing": False,
        "verbose": -1,
    }
    if constrained:
        parameters["interaction_constraints"] = recipe.interaction_groups
        parameters["monotone_constraints"] = [spec.monotone for spec in recipe.features]
    return parameters


def _hide(recipe: Recipe, rows: FloatMatrix) -> FloatMatrix:
    """A copy in which the recipe's shares of some features are unknown."""
    hidden = rows.copy()
    rng = np.random.default_rng(recipe.seed + 1)
    for name, share in recipe.hidden.items():
        hidden[rng.random(len(rows)) < share, recipe.names.index(name)] = MISSING
    return hidden


def fit(
    recipe: Recipe,
    rows: FloatMatrix,
    bad: Labels,
    *,
    constrained: bool = True,
    weights: FloatVector | None = None,
) -> Fit:
    """Train on these rows; the same rows give the same trees. `weights` (rows,) are of mean 1."""
    share = float(bad.mean() if weights is None else np.average(bad, weights=weights))
    base = float(np.float32(math.log(share / (1.0 - share))))  # trees are grown from this
    start = np.full(len(bad), base)
    data = lgb.Dataset(_hide(recipe, rows), bad, weight=weights, init_score=start)
    booster = lgb.train(_parameters(recipe, constrained=constrained), data, recipe.shape.trees)
    largest = abs(base)
    for tree, info in enumerate(booster.dump_model()["tree_info"]):
        leaves = [
            _on_step(booster.get_leaf_output(tree, leaf)) for leaf in range(info["num_leaves"])
        ]
        for leaf, value in enumerate(leaves):
            booster.set_leaf_output(tree, leaf, value)
        largest += max(map(abs, leaves))
    assert largest + LEAF_STEP < SUM_MAX, "sums of leaves must stay exact in float32"
    return Fit(booster, _on_step(base))


def _on_step(value: float) -> float:
    """The nearest multiple of `LEAF_STEP`; half of it is a hundred thousandth of a point."""
    return round(value / LEAF_STEP) * LEAF_STEP


def split_rows(recipe: Recipe, loans: Loans) -> tuple[Labels, Labels]:
    """Row numbers to train on and the fifth that is held out, by the recipe's seed."""
    order = np.random.default_rng(recipe.seed).permutation(len(loans.bad))
    held_out = len(order) // 5
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def measure(log_odds: FloatVector, bad: Labels) -> Measured:
    """Ranking and calibration figures of a score on rows with known outcome."""
    auc = float(roc_auc_score(bad, log_odds))
    false_positive, true_positive, _ = roc_curve(bad, log_odds)
    pd = 1.0 / (1.0 + np.exp(-log_odds))
    return Measured(
        auc=round(auc, METRIC_DECIMALS),
        ks=round(float(np.max(true_positive - false_positive)), METRIC_DECIMALS),
        gini=round(2.0 * auc - 1.0, METRIC_DECIMALS),
        brier=round(float(brier_score_loss(bad, pd)), METRIC_DECIMALS),
        rows=len(bad),
        bad_rate=round(float(bad.mean()), METRIC_DECIMALS),
    )
