"""Golden rows: features and the outputs of the trained source, for the parity test.

No loan is copied: each value is drawn from its own column, and every second row
has one feature set on a split of the model or on the float32 next to it, where
a wrong comparison would show.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from stream.lab.export import family_log_odds, grown_trees, round_down
from stream.lab.fit import Fit
from stream.lab.recipe import Recipe

GOLDEN_ROWS = 50


def _splits(node: dict[str, Any]) -> list[tuple[int, float]]:
    """Every (column, threshold) of a tree."""
    if "leaf_value" in node:
        return []
    below = _splits(node["left_child"]) + _splits(node["right_child"])
    return [(node["split_feature"], round_down(node["threshold"])), *below]


def golden_matrix(
    recipe: Recipe, fit: Fit, rows: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Rows that belong to nobody, half of them on the edge of a split."""
    rng = np.random.default_rng(recipe.seed + 2)
    columns = [rng.choice(rows[:, i], GOLDEN_ROWS) for i in range(rows.shape[1])]
    drawn = np.column_stack(columns).astype(np.float32)
    splits = sorted({split for root in grown_trees(fit) for split in _splits(root)})
    for row, pick in enumerate(rng.integers(0, len(splits), GOLDEN_ROWS)):
        column, edge = splits[pick]
        if row % 2:
            above = np.nextafter(np.float32(edge), np.float32(np.inf))
            drawn[row, column] = above if row % 4 == 1 else np.float32(edge)
    return drawn


def golden_jsonl(recipe: Recipe, fit: Fit, rows: npt.NDArray[np.float32]) -> bytes:
    """One JSON object a line: `features` and the source's `outputs`."""
    matrix = golden_matrix(recipe, fit, rows)
    expected = family_log_odds(recipe, fit, matrix)
    lines = [
        msgspec.json.encode(
            {
                "features": [float(value) for value in row],
                "outputs": outputs,
            }
        )
        for row, outputs in zip(matrix, expected, strict=True)
    ]
    return b"\n".join(lines) + b"\n"
