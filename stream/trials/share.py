"""A count out of a count against a share: the draw of the arms, and scores that fail.

With k of n and a prior Beta(a, b) on the share,

    e = B(a + k, b + n - k) / B(a, b) / (p^k (1 - p)^(n - k))

is an e-process while the share is p: a mixture of likelihood ratios (H. Robbins, Annals of
Mathematical Statistics 41, 1970). For a draw with the declared p it is the sequential test of
sample-ratio mismatch of M. Lindon and A. Malek, Anytime-valid inference for multinomial count
data, NeurIPS 2022. The chi-square beside it is the usual one: right for one look, and
wrong in more looks than its level says when looked at often.
"""

from __future__ import annotations

import math
from typing import Final

from stream.trials.search import edge

DRAWN_AS: Final = 100.0
"""The prior of a draw counts as so many applicants: it lies within some points of `p`."""


def log_e(k: int, n: int, p: float, prior: tuple[float, float]) -> float:
    """Log of the e-process against the share `p`, 0 < p < 1."""
    a, b = prior
    mixed = _log_beta(a + k, b + n - k) - _log_beta(a, b)
    return mixed - k * math.log(p) - (n - k) * math.log1p(-p)


def p_drawn(k: int, n: int, p: float) -> float:
    """Chance at any time of a count as far from `p`, where each of `n` was drawn by it."""
    return math.exp(min(0.0, -log_e(k, n, p, (DRAWN_AS * p, DRAWN_AS * (1 - p)))))


def p_chi_square(k: int, n: int, p: float) -> float:
    """Chance of a count as far from `p`, for one look: chi-square with one degree of freedom."""
    if not n:
        return 1.0
    return math.erfc(math.sqrt((k - n * p) ** 2 / (n * p * (1 - p)) / 2))


def p_more(k: int, n: int, p: float) -> float:
    """Chance at any time of so many, where the share is `p` or less.

    Of all such shares `p` itself explains a larger count best, so no e-process
    against one of them is lower.
    """
    if not n or k <= n * p:
        return 1.0
    return math.exp(min(0.0, -log_e(k, n, p, (0.5, 0.5))))


def at_least(k: int, n: int, level: float) -> float:
    """A share that is exceeded, at all times at once, with a chance of 1 - `level`."""
    if not k:
        return 0.0
    return edge(lambda p: p_more(k, n, p) <= level, 1e-12, k / n)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
