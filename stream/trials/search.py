"""An interval, and the search for its ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

_HALVINGS: Final = 40


class Interval(NamedTuple):
    """Both ends included."""

    low: float
    high: float


def edge(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where `holds` ends within `low` to `high`: it is true below some value and false above."""
    if not holds(low):
        return low
    if holds(high):
        return high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
