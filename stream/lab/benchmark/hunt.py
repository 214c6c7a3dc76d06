"""The leak hunt over a recipe: its inputs must pass, its barred columns show what passes mean."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from stream.errors import ModelError
from stream.lab.benchmark.boosted import FREE, Chosen, train
from stream.lab.benchmark.recipe import SEED, Bench, Shape
from stream.lab.benchmark.result import Mark, Outside
from stream.lab.benchmark.table import Labels, Matrix, Table, encode, numbers
from stream.lab.benchmark.trial import Part, folds
from stream.lab.leaks import Finding, auc_alone, gains, late, suspicious, too_much

ROWS_MAX = 20_000
"""A leak does not hide in a sample of this size."""

PROBE = Chosen(Shape(12, 50, 10.0), 80)
FloatMatrix = npt.NDArray[np.float32]


def _sample(table: Table) -> Labels:
    """Row numbers the hunt looks at, in their order."""
    order = np.random.default_rng(SEED).permutation(len(table.bad))
    return np.sort(order[:ROWS_MAX])


def _auc(matrix: Matrix, values: FloatMatrix, bad: Labels, part: Part) -> float:
    model = train(matrix, FREE, PROBE, values[part.train], bad[part.train])
    return float(roc_auc_score(bad[part.held_out], model.log_odds(values[part.held_out])))


def _columns_of(matrix: Matrix, name: str) -> list[int]:
    """The model's columns of one input: itself, its levels, its flag of being unknown."""
    return [
        i
        for i, column in enumerate(matrix.names)
        if column in {name, f"{name}?"} or column.startswith(f"{name}=")
    ]


def findings(bench: Bench, table: Table) -> list[Finding]:
    """Every mark on the recipe's inputs and on columns it does not declare."""
    rows = _sample(table)
    bad, inputs = table.bad[rows], table.inputs.iloc[rows]
    matrix = encode(bench, inputs)
    part = folds(bad)[0]

    def auc_without(name: str | None) -> float:
        values = matrix.values.copy()
        if name is not None:
            values[:, _columns_of(matrix, name)] = 0.0
        return _auc(matrix, values, bad, part)

    names = tuple(each.name for each in bench.inputs)
    return [
        *late(dict.fromkeys(table.undeclared)),
        *late({s: bench.known_at[s] for each in bench.inputs for s in each.sources}),
        *suspicious(numbers(inputs), bad, SEED),
        *too_much(dict(gains(names, auc_without))),
    ]


def answered(bench: Bench, found: list[Finding]) -> list[Mark]:
    """Each mark with the recipe's answer."""
    return [
        Mark(f.mark.value, f.column, f.text, bench.answered.get(f"{f.mark.value}:{f.column}"))
        for f in found
    ]


def refuse_leaks(bench: Bench, marks: list[Mark]) -> None:
    """A mark without an answer ends the run: its figures would not be worth printing."""
    for mark in marks:
        if mark.answer is None:
            raise ModelError(
                f"{bench.name}: {mark.column}: {mark.text}",
                fix=f"bar the column in the recipe, or answer '{mark.mark}:{mark.column}' there",
            )


def outside(bench: Bench, table: Table) -> list[Outside]:
    """What each column that is known too late would be worth, alone and on top of the inputs."""
    rows = _sample(table)
    bad = table.bad[rows]
    matrix = encode(bench, table.inputs.iloc[rows])
    part = folds(bad)[0]
    before = _auc(matrix, matrix.values, bad, part)
    reasons = {column: bar for bar in bench.barred for column in bar.columns}
    found = []
    for name, values in numbers(table.late.iloc[rows]).items():
        bar = reasons[name]
        widened = np.column_stack([matrix.values, np.nan_to_num(values, nan=-1e6)])
        gain = _auc(matrix, widened.astype(np.float32), bad, part) - before
        marks = [m.mark.value for m in (*late({name: bar.known_at}), *too_much({name: gain}))]
        marks += [m.mark.value for m in suspicious({name: values}, bad, SEED)]
        alone = auc_alone(values, bad, SEED)
        found.append(
            Outside(name, bar.known_at.value, bar.why, round(alone, 4), round(gain, 4), marks)
        )
    return found
