"""The shape of the training rows, for the manifest: tenths of what is continuous, else each value.

Edges are values that occur, so that a value held by many rows is never split.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream.scoring.features import MISSING
from stream.scoring.reference import BINS_MAX, Reference, Shape

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def reference(names: tuple[str, ...], rows: Floats, points: Floats) -> Reference:
    """The shapes of `rows` (n, features in the order of `names`) and of their `points` (n,)."""
    columns = {name: shape(rows[:, i], unknown=MISSING) for i, name in enumerate(names)}
    return Reference(shape(points), columns)


def shape(values: Floats, unknown: float | None = None) -> Shape:
    """The bins of one column; `unknown` is the value that stands for none."""
    column = values.astype(np.float32)
    known = column if unknown is None else column[column != np.float32(unknown)]
    if not known.size:
        return Shape((), (0,), len(column), 0.0, 0.0)
    found = np.unique(known)
    if found.size > BINS_MAX:
        tenths = np.arange(1, BINS_MAX) / BINS_MAX
        found = np.unique(np.append(np.quantile(known, tenths, method="lower"), known.max()))
    edges = found[:-1]
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return Shape(
        tuple(float(edge) for edge in edges),
        tuple(int(count) for count in counts),
        len(column) - len(known),
        float(known.min()),
        float(known.max()),
    )
