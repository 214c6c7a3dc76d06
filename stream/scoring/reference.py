"""What a model's training rows looked like, in bins: the shape that live cases are compared with.

A bin holds the values above the edge before it, up to and including its own edge;
the last one holds all above the last edge. Unknown values are counted beside the
bins. Values are float32, as the model sees them.
"""

from __future__ import annotations

import math
from typing import Annotated

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0)]
BINS_MAX = 10


class Shape(Struct, frozen=True, forbid_unknown_fields=True):
    """One feature, or the points, over the training rows; `low` and `high` are the extremes."""

    edges: tuple[float, ...]
    counts: tuple[Count, ...]
    missing: Count
    low: float
    high: float

    def __post_init__(self) -> None:
        """ValueError for bins that are none."""
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError("there is one count more than there are edges")
        if not all(map(math.isfinite, (*self.edges, self.low, self.high))):
            raise ValueError("an edge is not finite")
        if any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError("edges rise")
        if not self.rows:
            raise ValueError("no row was counted")

    @property
    def rows(self) -> int:
        """How many rows were counted, unknown ones included."""
        return sum(self.counts) + self.missing


class Reference(Struct, frozen=True, forbid_unknown_fields=True):
    """The points and every feature of a model over the rows it learned from."""

    score: Shape
    features: dict[str, Shape]
