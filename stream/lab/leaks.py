"""The hunt for leaks: inputs known only after the decision, or too good to be true.

Four marks are looked for. The first needs no data, only that every column is declared:

- `late`: the column is known only after the decision, or nobody said when it is known.
- `alone`: the column alone ranks the outcomes almost perfectly.
- `gain`: the model with the column ranks much better than the one without it.
- `absence`: whether the column is empty tells the outcome.

A mark is a question, not a verdict: a person answers it in the recipe, or the input goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.tree import DecisionTreeClassifier

from stream.lab.known import KnownAt

FloatVector = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

ALONE_AUC_MAX = 0.85
"""The best honest input of these sets reaches 0.80 alone, the recorded term of a loan 0.96."""

GAIN_MAX = 0.08
"""The best honest input of these sets adds 0.05 to the AUC of all others, that term 0.2."""

ABSENCE_AUC_MAX = 0.60
"""AUC of the bare fact that a value is missing; 0.5 where it says nothing."""

FOLDS = 3
TREE_LEAVES = 64


class Mark(StrEnum):
    """What gives a column away."""

    LATE = "late"
    ALONE = "alone"
    GAIN = "gain"
    ABSENCE = "absence"


@dataclass(frozen=True, slots=True)
class Finding:
    """One mark on one column; `value` and `limit` are None where nothing was measured."""

    mark: Mark
    column: str
    text: str
    value: float | None = None
    limit: float | None = None


def late(known_at: Mapping[str, KnownAt | None]) -> list[Finding]:
    """The inputs nobody can have at the decision; None stands for one nobody declared."""
    findings = []
    for column, when in known_at.items():
        if when is None:
            findings.append(Finding(Mark.LATE, column, "nobody declared when it is known"))
        elif when is not KnownAt.APPLICATION:
            findings.append(Finding(Mark.LATE, column, f"known at {when.value} only"))
    return findings


def auc_alone(values: FloatVector, bad: Labels, seed: int) -> float:
    """AUC of one column by itself, each row scored by a tree that has not seen it."""
    scores = np.zeros(len(bad))
    column = values.reshape(-1, 1)
    leaf_rows = max(20, len(bad) // 1000)
    for train, held_out in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(
        column, bad
    ):
        tree = DecisionTreeClassifier(
            max_leaf_nodes=TREE_LEAVES, min_samples_leaf=leaf_rows, random_state=seed
        ).fit(column[train], bad[train])
        scores[held_out] = tree.predict_proba(column[held_out])[:, 1]
    return float(roc_auc_score(bad, scores))


def auc_of_absence(values: FloatVector, bad: Labels) -> float:
    """AUC of the fact that a value is missing, whichever way it points; 0.5 where none is."""
    auc = float(roc_auc_score(bad, np.isnan(values)))
    return max(auc, 1.0 - auc)


def suspicious(columns: Mapping[str, FloatVector], bad: Labels, seed: int) -> Iterator[Finding]:
    """The columns that tell the outcome by themselves, by value or by being empty (NaN)."""
    for name, values in columns.items():
        alone = auc_alone(values, bad, seed)
        if alone > ALONE_AUC_MAX:
            text = f"AUC {alone:.3f} from this column alone"
            yield Finding(Mark.ALONE, name, text, alone, ALONE_AUC_MAX)
        absence = auc_of_absence(values, bad)
        if absence > ABSENCE_AUC_MAX:
            missing = np.isnan(values)
            text = (
                f"{bad[missing].mean():.1%} bad where it is missing, "
                f"{bad[~missing].mean():.1%} where it is known"
            )
            yield Finding(Mark.ABSENCE, name, text, absence, ABSENCE_AUC_MAX)


def gains(
    names: tuple[str, ...], auc_without: Callable[[str | None], float]
) -> Iterator[tuple[str, float]]:
    """What each column adds to the AUC of all others; `auc_without(None)` leaves none out."""
    full = auc_without(None)
    for name in names:
        yield name, full - auc_without(name)


def too_much(gained: Mapping[str, float]) -> list[Finding]:
    """The columns that add more than any honest one does."""
    return [
        Finding(Mark.GAIN, name, f"adds {gain:.3f} to the AUC of all others", gain, GAIN_MAX)
        for name, gain in gained.items()
        if gain > GAIN_MAX
    ]
