"""One split: three rivals learn from the same rows and score the same others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold

from stream.lab.benchmark import boosted, woe
from stream.lab.benchmark.boosted import CONSTRAINED, FREE, Chosen, Kind
from stream.lab.benchmark.recipe import FOLDS, ROWS_FOLDED_MAX, SEED, Bench
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


def _score(
    bench: Bench, table: Table, matrix: Matrix, part: Part
) -> Iterator[tuple[str, FloatVector, Chosen | None]]:
    """Log-odds of the held-out rows by each of the rivals in turn."""
    rows, bad = matrix.values[part.train], table.bad[part.train]
    for name, kind in KINDS.items():
        chosen = boosted.search(matrix, kind, rows, bad)
        model = boosted.train(matrix, kind, chosen, rows, bad)
        yield name, model.log_odds(matrix.values[part.held_out]), chosen
    card = woe.train(bench, table.inputs.iloc[part.train], bad)
    yield SCORECARD, card.log_odds(table.inputs.iloc[part.held_out]), None


def run(bench: Bench, table: Table, parts: list[Part]) -> Trial:
    """All rivals on all parts; rows in the order in which they were held out."""
    matrix = encode(bench, table.inputs)
    log_odds: dict[str, list[FloatVector]] = {name: [] for name in MODELS}
    chosen: dict[str, list[Chosen]] = {name: [] for name in KINDS}
    for part in parts:
        for name, scores, found in _score(bench, table, matrix, part):
            log_odds[name].append(scores)
            if found is not None:
                chosen[name].append(found)
    return Trial(
        rows=np.concatenate([part.held_out for part in parts]),
        log_odds={name: np.concatenate(scores) for name, scores in log_odds.items()},
        chosen=chosen,
    )


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
