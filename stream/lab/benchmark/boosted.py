"""Boosted trees with and without the engine's two constraints, over the same small search."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from sklearn.model_selection import StratifiedKFold

from stream.lab.benchmark.recipe import (
    INNER_FOLDS,
    PATIENCE,
    ROWS_INNER_FOLDED_MAX,
    SEED,
    SHAPES,
    TREES_MAX,
    Shape,
)
from stream.lab.benchmark.table import FloatMatrix, Labels, Matrix
from stream.lab.fit import Fit


@dataclass(frozen=True, slots=True)
class Kind:
    """Which of the two constraints hold."""

    families: bool = True
    directions: bool = True


CONSTRAINED = Kind()
FREE = Kind(families=False, directions=False)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the search settled on."""

    shape: Shape
    trees: int


def _parameters(matrix: Matrix, kind: Kind, shape: Shape) -> dict[str, object]:
    parameters: dict[str, object] = {
        "objective": "binary",
        "metric": "binary_logloss",
        "num_leaves": shape.leaves,
        "learning_rate": shape.learning_rate,
        "min_data_in_leaf": shape.min_leaf_rows,
        "lambda_l2": shape.l2,
        "feature_fraction": shape.columns,
        "bagging_fraction": shape.rows,
        "bagging_freq": 1,
        "seed": SEED,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        # As in the engine: the base is no tree, and unknown is a value of its own.
        "boost_from_average": False,
        "use_missing": False,
        "verbose": -1,
    }
    if kind.families:
        parameters["interaction_constraints"] = matrix.groups
    if kind.directions:
        parameters["monotone_constraints"] = list(matrix.directions)
        # The default method forbids more than the directions ask for.
        parameters["monotone_constraints_method"] = "intermediate"
    return parameters


def _base(bad: Labels) -> float:
    share = float(bad.mean())
    return math.log(share / (1.0 - share))


def _dataset(rows: FloatMatrix, bad: Labels, base: float) -> Any:  # noqa: ANN401
    return lgb.Dataset(rows, bad, init_score=np.full(len(bad), base))


def _inner(bad: Labels) -> list[tuple[Labels, Labels]]:
    """Rows to learn from and to stop on: folds of few rows, one fifth of many."""
    few = len(bad) <= ROWS_INNER_FOLDED_MAX
    splitter = StratifiedKFold(INNER_FOLDS if few else 5, shuffle=True, random_state=SEED)
    return list(splitter.split(bad, bad))[: INNER_FOLDS if few else 1]


def search(matrix: Matrix, kind: Kind, rows: FloatMatrix, bad: Labels) -> Chosen:
    """The shape and number of trees with the least log loss on inner rows of these."""
    found: list[tuple[float, Chosen]] = []
    for shape in SHAPES:
        curves: Any = lgb.cv(
            _parameters(matrix, kind, shape),
            _dataset(rows, bad, _base(bad)),
            TREES_MAX,
            folds=_inner(bad),
            callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
        )
        losses = curves["valid binary_logloss-mean"]
        found.append((losses[-1], Chosen(shape, len(losses))))
    return min(found, key=lambda each: each[0])[1]


def train(matrix: Matrix, kind: Kind, chosen: Chosen, rows: FloatMatrix, bad: Labels) -> Fit:
    """Trees of a chosen shape on all of these rows."""
    base = _base(bad)
    parameters = _parameters(matrix, kind, chosen.shape)
    return Fit(lgb.train(parameters, _dataset(rows, bad, base), chosen.trees), base)
