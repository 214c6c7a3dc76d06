"""The declared search of a recipe: every shape it may take, on inner folds of its training rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec import Struct
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from stream.lab.data import load_source
from stream.lab.fit import fit, split_rows
from stream.lab.recipe import Recipe

DECIMALS = 5


class Tried(Struct, frozen=True):
    """One shape: mean log loss and AUC over the inner folds; `taken` is the recipe's own."""

    model_id: str
    trees: int
    leaves: int
    learning_rate: float
    min_leaf_rows: int
    l2: float
    log_loss: float
    auc: float
    taken: bool


def searched(recipe: Recipe, data: Path) -> Iterator[Tried]:
    """Each declared shape in turn; the held-out rows are never looked at."""
    loans = load_source(data, recipe.segment).loans
    train, _ = split_rows(recipe, loans)
    rows, bad = loans.matrix(recipe.names)[train], loans.bad[train]
    folds = list(
        StratifiedKFold(recipe.search.folds, shuffle=True, random_state=recipe.seed).split(bad, bad)
    )
    for shape in recipe.search.shapes:
        losses, aucs = [], []
        for learn, held in folds:
            model = fit(replace(recipe, shape=shape), rows[learn], bad[learn])
            log_odds = model.log_odds(rows[held])
            losses.append(log_loss(bad[held], 1.0 / (1.0 + np.exp(-log_odds))))
            aucs.append(roc_auc_score(bad[held], log_odds))
        yield Tried(
            model_id=recipe.model_id,
            trees=shape.trees,
            leaves=shape.leaves,
            learning_rate=shape.learning_rate,
            min_leaf_rows=shape.min_leaf_rows,
            l2=shape.l2,
            log_loss=round(float(np.mean(losses)), DECIMALS),
            auc=round(float(np.mean(aucs)), DECIMALS),
            taken=shape == recipe.shape,
        )
