"""A share with its 95 % interval, by count and by amount.

By count it is Wilson's score interval (E. B. Wilson, JASA 22, 1927), which holds
its level for the few bad loans of a small share where the usual one does not. By
amount the loans differ in weight: the same interval is taken with Kish's effective
number of loans, (sum of amounts)^2 / sum of squared amounts (L. Kish, Survey
Sampling, 1965). That holds where going bad does not hang on the amount, and is an
approximation elsewhere.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

Z: Final = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


class Rate(NamedTuple):
    """A share and its interval; all of 0 to 1 is possible while nothing is known."""

    share: float
    low: float
    high: float


NOTHING: Final = Rate(0.0, 0.0, 1.0)


def rate_by_count(bad: int, loans: int) -> Rate:
    """`bad` of `loans`."""
    return _wilson(bad / loans, loans) if loans else NOTHING


def rate_by_amount(bad_fen: int, amount_fen: int, squares: int) -> Rate:
    """`bad_fen` of `amount_fen`, where the squared amounts add up to `squares`."""
    if not amount_fen:
        return NOTHING
    return _wilson(bad_fen / amount_fen, amount_fen**2 / squares)


def _wilson(share: float, n: float) -> Rate:
    spread = Z * Z / n
    middle = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / n + spread / n / 4) / (1 + spread)
    return Rate(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))
