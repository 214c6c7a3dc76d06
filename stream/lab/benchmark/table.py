"""A public data set as the recipe's inputs, and the inputs as the matrix a model learns from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stream.errors import ConfigError
from stream.lab.benchmark.recipe import Bench
from stream.lab.known import KnownAt
from stream.scoring.features import MISSING

if TYPE_CHECKING:
    from pandas import DataFrame

FloatMatrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
FloatVector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one recipe: inputs as declared, outcome, and which rows come after the date."""

    inputs: DataFrame
    """Numbers with NaN where unknown, or text where the input has levels."""
    bad: Labels
    later: Mask | None
    undeclared: tuple[str, ...]
    """Columns of the file the recipe says nothing about."""
    protected: DataFrame
    """What is barred for whom it describes; for the price of leaving it out only."""
    late: DataFrame
    """What is barred because it is known too late; to show what the hunt finds."""
    left_out: DataFrame
    """What is barred though known in time: dates, places, names, whom it describes."""
    ages: FloatVector | None
    """Years of the person, NaN where unknown; for fairness only."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Matrix:
    """Columns of the model with the family and direction of each."""

    names: tuple[str, ...]
    families: tuple[str, ...]
    directions: tuple[int, ...]
    values: FloatMatrix

    @property
    def directed(self) -> tuple[str, ...]:
        """Columns with a direction."""
        return tuple(n for n, way in zip(self.names, self.directions, strict=True) if way)

    def regrouped(self, joins: dict[str, str]) -> Matrix:
        """The same columns, some families joined to others."""
        return replace(self, families=tuple(joins.get(each, each) for each in self.families))

    def undirected(self, name: str) -> Matrix:
        """The same columns, one of them without its direction."""
        ways = zip(self.names, self.directions, strict=True)
        return replace(self, directions=tuple(0 if n == name else way for n, way in ways))

    @property
    def groups(self) -> list[list[int]]:
        """Columns of each family: a tree stays inside one group."""
        return [
            [i for i, name in enumerate(self.families) if name == family]
            for family in dict.fromkeys(self.families)
        ]


def read(path: Path) -> DataFrame:
    """The file as it is, or a clear word where it is absent."""
    import pandas as pd  # noqa: PLC0415  an extra: the message below must come first

    if not path.is_file():
        raise ConfigError(
            f"{path}: no such file", fix="pass the folder of the public credit sets with --data"
        )
    return pd.read_csv(path, low_memory=False)


def load(bench: Bench, data: Path, rows_max: int | None = None) -> Table:
    """The recipe's rows, its inputs and outcome; the first `rows_max` of them if given."""
    path = data / bench.file
    raw = read(path)
    undeclared = tuple(sorted(set(raw.columns) - set(bench.known_at) - {"bad"}))
    rows = raw if bench.rows is None else bench.rows(raw)
    rows = rows.head(rows_max).reset_index(drop=True)
    adapted = bench.adapt(rows)
    protected = [c for bar in bench.barred if bar.protected for c in bar.columns]
    too_late = [c for c, when in bench.known_at.items() if when is not KnownAt.APPLICATION]
    barred = {column for bar in bench.barred for column in bar.columns}
    in_time = [c for c, when in bench.known_at.items() if c in barred and c not in too_late]
    return Table(
        inputs=adapted[[each.name for each in bench.inputs]],
        bad=rows["bad"].to_numpy(np.int64),
        later=None
        if bench.time is None
        else (rows[bench.time.column] >= bench.time.from_value).to_numpy(),
        undeclared=undeclared,
        protected=rows[protected],
        late=rows[too_late],
        left_out=rows[in_time],
        ages=None if bench.age is None else rows[bench.age].to_numpy(float, na_value=np.nan),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def encode(bench: Bench, inputs: DataFrame) -> Matrix:
    """Float32 columns as the engine would see them.

    Unknown is `MISSING` and, as the directions would else call it the least of all
    values, a flag of its own in the same family. A level is a column of zeros and ones.
    """
    columns: list[tuple[str, str, int, npt.NDArray[np.float64]]] = []
    for each in bench.inputs:
        given = inputs[each.name]
        if each.levels:
            for level in each.levels:
                flag = (given == level).to_numpy(float)
                columns.append((f"{each.name}={level}", each.family, 0, flag))
            continue
        values = given.to_numpy(float, na_value=np.nan)
        missing = np.isnan(values)
        if missing.any():
            assert np.nanmin(values) >= 0.0, f"{each.name}: unknown would pass for a known value"
            columns.append((f"{each.name}?", each.family, 0, missing.astype(float)))
        filled = np.where(missing, MISSING, values)
        columns.append((each.name, each.family, each.direction, filled))
    names, families, directions, values_of = zip(*columns, strict=True)
    return Matrix(names, families, directions, np.column_stack(values_of).astype(np.float32))


def numbers(frame: DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    """Each input as numbers with NaN where unknown; texts by the order of their names."""
    found = {}
    for name in frame.columns:
        values = frame[name]
        if values.dtype.kind in "OUTSV" or str(values.dtype) in {"str", "string", "object"}:
            codes = values.astype("category").cat.codes.to_numpy(float)
            found[name] = np.where(codes < 0, np.nan, codes)
        else:
            found[name] = values.to_numpy(float, na_value=np.nan)
    return found
