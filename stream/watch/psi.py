"""The population stability index as a test that knows how much it has seen.

With shares p of n training rows and q of m live ones in B bins,

    PSI = sum over bins of (q - p) ln(q / p).

Without drift, PSI / (1/n + 1/m) is near a chi-square of B - 1 degrees of freedom
(B. Yurdakul, Statistical Properties of Population Stability Index, Western
Michigan University 2018; J. Naranjo and B. Yurdakul, Journal of Risk Model
Validation 14(4), 2020). The folk limits of 0.1 and 0.25 know neither n nor m: at
m = 100 chance alone exceeds 0.1 in more than a third of the windows, at m = 10,000 a real
shift stays below it.

Two things keep the approximation honest. Each count gets a half more, so that an
empty bin has a finite share. And neighbouring bins are joined until each expects
`EXPECTED_MIN` live rows, by the shares of both samples together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from stream.scoring.reference import Shape
from stream.watch.sketch import Sketch

EXPECTED_MIN = 10.0
"""Live rows a bin must expect; below, PSI's tail is heavier than the chi-square's."""


class Drift(NamedTuple):
    """One comparison: the index, the chance of so large a one without drift, the bins left."""

    psi: float
    p_value: float
    bins: int


def compare(shape: Shape, sketch: Sketch) -> Drift:
    """The live sketch against the training rows; unknown values are a bin of their own."""
    reference = [*shape.counts, shape.missing]
    live = [*sketch.counts, sketch.missing]
    return drift(reference, live)


def drift(reference: Sequence[int], live: Sequence[int]) -> Drift:
    """PSI of two rows of counts, and its test; nothing to compare is no drift."""
    n, m = sum(reference), sum(live)
    if not n or not m:
        return Drift(0.0, 1.0, 0)
    joined = _joined(reference, live, EXPECTED_MIN * (n + m) / min(n, m))
    bins = len(joined)
    index = sum(_term(r, a, n + bins / 2, m + bins / 2) for r, a in joined)
    return Drift(index, chi_square_tail(index / (1 / n + 1 / m), bins - 1), bins)


def _term(reference: int, live: int, n: float, m: float) -> float:
    p, q = (reference + 0.5) / n, (live + 0.5) / m
    return (q - p) * math.log(q / p)


def _joined(reference: Sequence[int], live: Sequence[int], least: float) -> list[tuple[int, int]]:
    """Neighbouring bins added up until each holds `least` rows of both samples together."""
    joined: list[tuple[int, int]] = []
    r = a = 0
    for more_r, more_a in zip(reference, live, strict=True):
        r, a = r + more_r, a + more_a
        if r + a >= least:
            joined.append((r, a))
            r = a = 0
    if r + a and joined:
        last_r, last_a = joined.pop()
        r, a = r + last_r, a + last_a
    return [*joined, (r, a)] if r + a else joined


def chi_square_tail(x: float, degrees: int) -> float:
    """Chance that a chi-square exceeds `x`; 1 with no degree of freedom left.

    Exact finite sums for whole degrees (Abramowitz and Stegun 26.4.4 and 26.4.5).
    """
    if degrees < 1 or x <= 0:
        return 1.0
    half = x / 2
    offset = degrees % 2 / 2
    term, total = half**offset / math.gamma(1 + offset), 0.0
    for step in range(degrees // 2):
        total += term
        term *= half / (step + 1 + offset)
    head = math.erfc(math.sqrt(half)) if degrees % 2 else 0.0
    return min(1.0, head + math.exp(-half) * total)
