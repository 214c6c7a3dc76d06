"""How much faster an arm's loans go bad, at any time, by count and by amount.

Outcomes come late and loans of all ages are on the books, so the share gone bad grows
with the age of a trial in both arms; their ratio does not. When one of the loans at risk
goes bad, then, if loans of the challenger do so r times as fast, it is one of the
challenger's with the chance

    f(r) = r C / (r C + K)

where C and K count the challenger's and the champion's loans at risk, of the same month of
decision. By amount C and K are amounts, and the loan's own amount is its weight w; by count
w = 1. With x = 1 for the challenger, a factor per bad loan

    1 + w (x - f(r)) (g - 1) / (1 + f(r) (g - 1))

is expected to be at most 1 whenever the true ratio is at most r (g > 1) or at least r
(g < 1): a bet on ratios g times as large, which loses where there are none. At w = 1 it is the
likelihood ratio of r g against r, the safe log-rank test of P. Grünwald, A. Ly, M. Pérez-Ortiz
and J. ter Schure, The safe logrank test, AISTATS workshop 2021; weighted, it is a bet as in
I. Waudby-Smith and A. Ramdas, Estimating means of bounded random variables by betting,
JRSS B 86, 2024. An equal mixture over a grid of g is no more than fair either. So no large
numbers are needed, and it matters neither when loans were paid out nor how the
chance of going bad moves with age or economy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.trials.search import Interval, edge

_GAINS: Final = np.array([2.0 ** (step / 2 - 0.25) for step in range(1, 9)])
"""Ratios that are bet on, relative to the one tested: 1.19 to 13.5."""
RATIO_MAX: Final = 1_000.0
"""Ratios beyond it, either way, are not told apart."""
_FAR: Final = math.log(RATIO_MAX)


class BadLoan(NamedTuple):
    """A loan as it goes bad, among those at risk just before, itself included."""

    challenger: bool
    weight: float
    """1 by count; by amount its share of the largest amount possible, 0 to 1."""
    at_risk_champion: float
    at_risk_challenger: float


class Hazard:
    """The bad loans of a trial so far, in the order in which they became known."""

    def __init__(self, loans: Iterable[BadLoan]) -> None:
        """Loans with nothing at risk in one arm say nothing and are left out."""
        told = [each for each in loans if min(each.at_risk_champion, each.at_risk_challenger) > 0]
        self.count = len(told)
        self._drawn = np.array([each.challenger for each in told], dtype=float)
        self._weight = np.array([each.weight for each in told], dtype=float)
        self._odds = np.array([e.at_risk_challenger / e.at_risk_champion for e in told])

    def interval(self, level: float) -> Interval:
        """Covers the ratio at all times at once, with a chance of 1 - `level`."""
        bar = math.log(2 / level)
        low = edge(lambda r: self._log_e(math.exp(r), _GAINS) >= bar, -_FAR, _FAR)
        high = edge(lambda r: self._log_e(math.exp(r), 1 / _GAINS) < bar, -_FAR, _FAR)
        return Interval(
            math.exp(low) if low > -_FAR else 0.0, math.exp(high) if high < _FAR else RATIO_MAX
        )

    def p_above(self, ratio: float) -> float:
        """Chance at any time of so much of it in the challenger's arm where `ratio` holds."""
        return math.exp(min(0.0, -self._log_e(ratio, _GAINS)))

    def _log_e(self, ratio: float, gains: npt.NDArray[np.float64]) -> float:
        """Log of the mixture of bets against `ratio`; falls in it for gains, rises for losses."""
        if not self.count:
            return 0.0
        chance = ratio * self._odds / (1 + ratio * self._odds)
        lifts = (gains - 1)[:, np.newaxis] / (1 + np.outer(gains - 1, chance))
        logs = np.log1p(self._weight * (self._drawn - chance) * lifts).sum(axis=1)
        top = float(logs.max())
        return top + math.log(float(np.exp(logs - top).mean()))
