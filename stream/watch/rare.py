"""Tests for what is rare and so lost in the index: unknown values, and values beyond all training.

A field that was never unknown in training and now is in five of a thousand cases
moves no index, as its bin expects too few rows to stand by itself. These tests are
exact for any number of rows.
"""

from __future__ import annotations

import math


def chance_of_more(reference: int, n: int, live: int, m: int) -> float:
    """Chance that `m` of `n + m` alike rows hold `live` or more of all `reference + live` hits.

    The one-sided test of R. A. Fisher on two shares (the hypergeometric tail).
    """
    hits, rows = reference + live, n + m
    if live * rows <= hits * m:
        return 1.0
    log_term = (
        _log_choose(m, live) + _log_choose(n, reference) - _log_choose(rows, hits)
    )  # P(exactly `live`)
    term, total, k = math.exp(log_term), 0.0, live
    while term > 0 and k <= min(hits, m):
        total += term
        term *= (m - k) * (hits - k) / ((k + 1) * (n - hits + k + 1))
        k += 1
    return min(1.0, total)


def chance_beyond(n: int, beyond: int, m: int) -> float:
    """Chance that `beyond` or more of `m` rows lie outside all `n` rows of their own population.

    With no drift the k most extreme of all rows are live ones with a chance of
    m (m - 1) .. / ((n + m) (n + m - 1) ..), and k of them may be shared out
    between the two ends in k + 1 ways; the sum is an upper bound.
    """
    if not beyond:
        return 1.0
    steps = (math.log((m - k) / (n + m - k)) for k in range(min(beyond, m)))
    return min(1.0, (beyond + 1) * math.exp(sum(steps)))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
