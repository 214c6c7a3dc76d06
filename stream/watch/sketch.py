"""Counts of live values in the bins of a reference; two sketches add up to that of all values."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable

from msgspec import Struct

from stream.scoring.features import MISSING
from stream.scoring.reference import Shape


def as_float32(values: Iterable[float]) -> list[float]:
    """The values as the model sees them: a double beside an edge may be a float32 upon it."""
    return array("f", values).tolist()


class Sketch(Struct):
    """How many of the values seen lie in each bin, are unknown, or lie outside all training."""

    counts: list[int]
    missing: int = 0
    outside: int = 0

    @classmethod
    def empty(cls, shape: Shape) -> Sketch:
        """Nothing seen yet."""
        return cls([0] * len(shape.counts))

    @property
    def seen(self) -> int:
        """All values, the unknown included."""
        return sum(self.counts) + self.missing

    def take(self, value: float, shape: Shape) -> None:
        """Count one float32 value; `MISSING` is none."""
        if value == MISSING:
            self.missing += 1
            return
        self.counts[bisect_left(shape.edges, value)] += 1
        if not shape.low <= value <= shape.high:
            self.outside += 1

    def merged(self, other: Sketch) -> Sketch:
        """What one sketch of both would hold."""
        counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        return Sketch(counts, self.missing + other.missing, self.outside + other.outside)
