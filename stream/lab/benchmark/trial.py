"""One split: three rivals learn from the same rows and score the same others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold

from stream.lab.benchmark import boosted, woe
from stream.lab.benchmark.boosted import CONSTRAINED, FREE, Chosen, Kind
from stream.lab.benchmark.recipe import (
    FOLDS,
    ROWS_FOLDED_MAX,
    ROWS_SEARCHED_MAX,
    SEED,
    Bench,
)
from stream.lab.benchmark.table import Labels, Matrix, Table, encode

FloatVector = npt.NDArray[np.float64]
FAMILY, UNCONSTRAINED, SCORECARD = "family", "free", "scorecard"
MODELS = (FAMILY, UNCONSTRAINED, SCORECARD)
KINDS = {FAMILY: CONSTRAINED, UNCONSTRAINED: FREE}


@dataclass(frozen=True, slots=True)
class Part:
    """Row numbers to learn from and to measure on."""

    train: Labels
    held_out: Labels


@dataclass(frozen=True, slots=True)
class Trial:
    """Log-odds by model of the measured rows, and the shapes found on the way."""

    rows: Labels
    log_odds: dict[str, FloatVector]
    chosen: dict[str, list[Chosen]]


def folds(bad: Labels) -> list[Part]:
    """Each row is held out once; the share of bad is the same in all folds."""
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    return [Part(train, held_out) for train, held_out in splitter.split(bad, bad)]


def parts_of(bad: Labels) -> list[Part]:
    """All folds, or the first where one fifth is rows enough."""
    return folds(bad)[: 1 if len(bad) > ROWS_FOLDED_MAX else FOLDS]


def by_time(table: Table) -> Part | None:
    """Learn before the date, measure from it on; None where the data has no dates."""
    if table.later is None:
        return None
    return Part(np.flatnonzero(~table.later), np.flatnonzero(table.later))


def _search(table: Table, matrix: Matrix, parts: list[Part], kind: Kind) -> list[Chosen]:
    """A shape for each part: its own in small sets, the first part's in large ones."""
    searched = parts[:1] if len(table.bad) > ROWS_SEARCHED_MAX else parts
    found = [
        boosted.search(matrix, kind, matrix.values[part.train], table.bad[part.train])
        for part in searched
    ]
    return found if len(found) == len(parts) else found * len(parts)


def run(bench: Bench, table: Table, parts: list[Part]) -> Trial:
    """All rivals on all parts; rows in the order in which they were held out."""
    matrix = encode(bench, table.inputs)
    chosen = {name: _search(table, matrix, parts, kind) for name, kind in KINDS.items()}
    log_odds = {
        name: rescore(matrix, table.bad, parts, kind, chosen[name]) for name, kind in KINDS.items()
    }
    log_odds[SCORECARD] = np.concatenate(
        [
            woe.train(bench, table.inputs.iloc[part.train], table.bad[part.train]).log_odds(
                table.inputs.iloc[part.held_out]
            )
            for part in parts
        ]
    )
    rows = np.concatenate([part.held_out for part in parts])
    return Trial(rows=rows, log_odds=log_odds, chosen=chosen)


def rescore(
    matrix: Matrix, bad: Labels, parts: list[Part], kind: Kind, chosen: list[Chosen]
) -> FloatVector:
    """The same parts and shapes under another kind of constraint, without a new search."""
    return np.concatenate(
        [
            boosted.train(matrix, kind, shape, matrix.values[part.train], bad[part.train]).log_odds(
                matrix.values[part.held_out]
            )
            for part, shape in zip(parts, chosen, strict=True)
        ]
    )
