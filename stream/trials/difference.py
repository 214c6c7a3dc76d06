"""The difference of two arms' means, at any time: approval rates, approved amounts.

Unit i has the value y in [0, 1] and was drawn into the challenger's arm (b = 1) with the
known chance p, else b = 0. With a guess g that is made before the unit is seen,

    z = (y - g) (b - p) / (p (1 - p))

has the expectation (mean of the challenger) - (mean of the champion), whatever g is and
however both means move in time; g = (1 - p) (challenger so far) + p (champion so far)
makes it vary least. |z| <= c = 1 / min(p, 1 - p). With S the sum of z, V the sum of z^2,

    exp(l (S - sum of the differences) - psi(l) V),  psi(l) = (-log(1 - c l) - c l) / c^2

never rises in expectation for 0 <= l < 1/c: the empirical Bernstein process of S. R. Howard,
A. Ramdas, J. McAuliffe and J. Sekhon, Time-uniform, nonparametric, nonasymptotic confidence
sequences, Annals of Statistics 49, 2021, theorem 4, here on the estimate of their section 4.2.
An equal mixture over a grid of l is one too. It needs no distribution and no large numbers:
only that applicants are drawn by the declared share. The interval is on the mean
difference over all units so far.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

from stream.trials.search import Interval, edge

_STEPS: Final = 18
_SHARES: Final = tuple(0.8 * 2 ** (-step / 2) for step in range(_STEPS))
"""c times l: the first fits a handful of units, the last a hundred million."""


class Side(Struct):
    """One arm's values so far."""

    count: int = 0
    total: float = 0.0

    @property
    def mean(self) -> float | None:
        """None before the first value."""
        return self.total / self.count if self.count else None

    @property
    def guess(self) -> float:
        """The mean, drawn to one half while little is known."""
        return (self.total + 0.5) / (self.count + 1)


class Difference(Struct):
    """Challenger less champion in sums; `share` is the challenger's, of all applicants."""

    share: float
    champion: Side
    challenger: Side
    signed: float = 0.0
    squares: float = 0.0

    @classmethod
    def blank(cls, share: float) -> Difference:
        """Nothing seen; ValueError for a share that is not between 0 and 1."""
        if not 0 < share < 1:
            raise ValueError("a share lies between 0 and 1")
        return cls(share, Side(), Side())

    @property
    def count(self) -> int:
        """Units of both arms."""
        return self.champion.count + self.challenger.count

    @property
    def estimate(self) -> float | None:
        """Difference of the means; None before both arms have a unit."""
        champion, challenger = self.champion.mean, self.challenger.mean
        return None if champion is None or challenger is None else challenger - champion

    def take(self, value: float, *, challenger: bool) -> None:
        """One unit's value, 0 to 1; ValueError for any other."""
        if not 0 <= value <= 1:
            raise ValueError("a value lies from 0 to 1")
        p = self.share
        guess = (1 - p) * self.challenger.guess + p * self.champion.guess
        z = (value - guess) / (p if challenger else p - 1)
        self.signed += z
        self.squares += z * z
        side = self.challenger if challenger else self.champion
        side.count += 1
        side.total += value

    def interval(self, level: float) -> Interval:
        """Covers the mean difference at all times at once, with a chance of 1 - `level`."""
        bar = math.log(2 / level)
        low = edge(lambda d: self._log_e(d, 1) >= bar, -1.0, 1.0)
        high = edge(lambda d: self._log_e(d, -1) < bar, -1.0, 1.0)
        return Interval(low, high)

    def p_above(self, margin: float) -> float:
        """Chance at any time of so much for the challenger where the difference is `margin`."""
        return math.exp(min(0.0, -self._log_e(margin, 1)))

    def p_below(self, margin: float) -> float:
        """The same for so little."""
        return math.exp(min(0.0, -self._log_e(margin, -1)))

    def _log_e(self, difference: float, sign: int) -> float:
        """Log of the mixture; falls in `difference` for sign 1, rises for sign -1."""
        c = 1 / min(self.share, 1 - self.share)
        excess = sign * (self.signed - self.count * difference) / c
        spread = self.squares / (c * c)
        logs = [s * excess + (math.log1p(-s) + s) * spread for s in _SHARES]
        top = max(logs)
        return top + math.log(sum(math.exp(each - top) for each in logs) / _STEPS)
