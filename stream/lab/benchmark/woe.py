"""The classic rival: weights of evidence by optimal binning, then logistic regression."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from optbinning import BinningProcess
from sklearn.linear_model import LogisticRegression

from stream.lab.benchmark.recipe import Bench
from stream.lab.benchmark.table import Labels

if TYPE_CHECKING:
    from pandas import DataFrame

IV_MIN = 0.02
"""Inputs with less information value are left out, as is the custom."""


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Fitted bins and coefficients."""

    binning: Any
    logistic: Any

    def log_odds(self, inputs: DataFrame) -> npt.NDArray[np.float64]:
        """Log-odds of bad."""
        woe = self.binning.transform(inputs, metric="woe", metric_missing="empirical")
        odds: npt.NDArray[np.float64] = self.logistic.decision_function(woe)
        return odds


def train(bench: Bench, inputs: DataFrame, bad: Labels) -> Scorecard:
    """Bins with a monotone bad rate where that fits, unknown as a bin of its own."""
    binning = BinningProcess(
        variable_names=[each.name for each in bench.inputs],
        categorical_variables=[each.name for each in bench.inputs if each.levels],
        selection_criteria={"iv": {"min": IV_MIN}},
    )
    with warnings.catch_warnings():
        # optbinning 1.0.0 writes "" into number columns of its own tables; pandas 3 minds.
        warnings.filterwarnings("ignore", "Setting an item of incompatible dtype")
        woe = binning.fit_transform(inputs, bad, metric="woe", metric_missing="empirical")
    return Scorecard(binning, LogisticRegression(max_iter=1000).fit(woe, bad))
