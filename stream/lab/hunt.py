"""The leak hunt of `tenminute train`: a mark that the recipe does not answer ends the training.

The marks are those of `stream/lab/leaks.py`, over the columns a recipe declares, the columns of
its file and the rows the model is about to learn from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from stream.errors import ModelError
from stream.lab.data import Loans
from stream.lab.fit import fit
from stream.lab.known import KnownAt
from stream.lab.leaks import FOLDS, Finding, auc_alone, gains, late, suspicious, too_much
from stream.lab.recipe import Recipe, Shape
from stream.scoring.features import MISSING

ROWS_MAX = 20_000
"""A leak does not hide in a sample of this size."""

PROBE = Shape(trees=80, leaves=12, learning_rate=0.08, min_leaf_rows=50, l2=10.0)


@dataclass(frozen=True, slots=True)
class Hunted:
    """What was measured of every input, and the marks found with the recipe's answers."""

    rows: int
    alone: dict[str, float]
    """AUC of each input by itself."""
    gained: dict[str, float]
    """What each input adds to the AUC of all others."""
    marks: tuple[tuple[Finding, str | None], ...]


def _sample(recipe: Recipe, loans: Loans) -> Loans:
    order = np.random.default_rng(recipe.seed).permutation(len(loans.bad))
    rows = np.sort(order[:ROWS_MAX])
    return Loans({name: loans.columns[name][rows] for name in recipe.names}, loans.bad[rows])


def _declared(recipe: Recipe, columns: tuple[str, ...], outcome: str) -> list[Finding]:
    """Columns nobody declared, and inputs made from what is known too late."""
    known: Mapping[str, KnownAt] = recipe.known_at
    undeclared = [column for column in columns if column not in known and column != outcome]
    barred = {c: bar.known_at for bar in recipe.data.barred for c in bar.columns}
    sources = dict.fromkeys(column for spec in recipe.features for column in spec.of)
    late_sources = {c: barred.get(c, KnownAt.APPLICATION) for c in sources}
    return [*late(dict.fromkeys(undeclared)), *late(late_sources)]


def hunted(recipe: Recipe, loans: Loans, columns: tuple[str, ...], outcome: str) -> Hunted:
    """Every mark on the recipe's inputs, over the rows it learns from."""
    seen = _sample(recipe, loans)
    known = {n: np.where(v == MISSING, np.nan, v) for n, v in seen.columns.items()}
    values = seen.matrix(recipe.names)
    probe = replace(recipe, shape=PROBE, hidden={})
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=recipe.seed)
    train, held_out = next(folds.split(values, seen.bad))

    def auc_without(name: str | None) -> float:
        rows = values.copy()
        if name is not None:
            rows[:, recipe.names.index(name)] = 0.0
        model = fit(probe, rows[train], seen.bad[train], constrained=False)
        return float(roc_auc_score(seen.bad[held_out], model.log_odds(rows[held_out])))

    gained = dict(gains(recipe.names, auc_without))
    found = [
        *_declared(recipe, columns, outcome),
        *suspicious(known, seen.bad, recipe.seed),
        *too_much(gained),
    ]
    return Hunted(
        rows=len(seen.bad),
        alone={name: auc_alone(column, seen.bad, recipe.seed) for name, column in known.items()},
        gained=gained,
        marks=tuple((f, recipe.answered.get(f"{f.mark.value}:{f.column}")) for f in found),
    )


def refuse_leaks(recipe: Recipe, found: Hunted) -> None:
    """ModelError at the first mark that the recipe does not answer; nothing is trained then."""
    for finding, answer in found.marks:
        if answer is None:
            raise ModelError(
                f"{recipe.model_id}: {finding.column}: {finding.text}",
                fix="take the column out of the recipe, or answer "
                f"'{finding.mark.value}:{finding.column}' under its `answered`",
            )
