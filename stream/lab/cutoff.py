"""A cut-off, limits and prices of a segment from a budget for the bad rate by amount.

The bad rate by amount is the share of what was lent that went to loans that
failed. Its interval is that of Korn and Graubard (Survey Methodology 24, 1998):
Clopper and Pearson's, with the number of loans replaced by the number of equal
ones that would tell as much. So it also holds where hardly a loan failed, and
no dice are thrown. Twenty cut-offs are looked at, so each interval has a
twentieth of the error (Bonferroni): with a chance of 95 % all of them hold, the
chosen one's among them. A cut-off is within the budget when the pd and the
upper end of the interval both are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from scipy.stats import beta

from stream.domain.application import Segment
from stream.lab.portfolio import Portfolio
from stream.policy.model import PolicyFile, SegmentPolicy
from stream.scoring.figures import Estimate

SHARES = tuple(step / 20 for step in range(1, 21))
"""Shares of the loans that the cut-offs looked at let pass."""

CONFIDENCE = 0.95
LIMIT_QUANTILE = 0.9
"""A band's limit: nine of ten of its loans were no larger, so there is evidence up to there."""

BAND_NAMES = ("C", "B", "A")
BASIS_POINTS = 10_000
Passed = npt.NDArray[np.bool_]


class Step(Struct, frozen=True):
    """One cut-off: what it lets pass, the mean pd by amount, and what went bad."""

    cut_off_points: int
    loans: int
    approved: float
    approved_amount: float
    expected: float
    bad: Estimate

    def within(self, budget: float) -> bool:
        """Whether the budget is kept, by the pd and by the outcomes."""
        return self.expected <= budget and self.bad.high <= budget


class Band(Struct, frozen=True):
    """A band of points with its limit, and the cheapest tier that carries its losses."""

    name: str
    points_from: int
    points_to: int
    limit_fen: int
    pd: float
    apr_min_bps: int
    price_tier: str | None


class Choice(Struct, frozen=True):
    """What a segment's loans allow under a budget; `chosen` is null where nothing does."""

    segment: Segment
    source: str
    loans: int
    budget: float
    steps: tuple[Step, ...]
    chosen: Step | None
    lowest: Step
    loans_needed: int
    bands: tuple[Band, ...]
    caveats: tuple[str, ...] = ()
    """What the model's data cannot bear, for whoever reads the cut-offs without the card."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a price must carry: money's own cost, and the share of a failed loan that is lost."""

    funding_bps: int
    loss_given_default: float


def equal_loans(amounts: npt.NDArray[np.float64], bad: npt.NDArray[np.int64]) -> float:
    """How many loans of one size would tell as much (Kish; fewer where the failed are large)."""
    total = amounts.sum()
    equal = float(total**2 / (amounts**2).sum())
    rate = float(amounts @ bad / total)
    variance = float(((amounts * (bad - rate)) ** 2).sum() / total**2)
    return min(equal, rate * (1.0 - rate) / variance) if variance > 0.0 else equal


def bad_by_amount(
    amounts: npt.NDArray[np.float64], bad: npt.NDArray[np.int64], error: float
) -> Estimate:
    """Share of the amount that went bad, and the interval that misses it with chance `error`."""
    rate = float(amounts @ bad / amounts.sum())
    loans = equal_loans(amounts, bad)
    failed = rate * loans
    low = beta.ppf(error / 2, failed, loans - failed + 1) if rate > 0.0 else 0.0
    high = beta.ppf(1 - error / 2, failed + 1, loans - failed) if rate < 1.0 else 1.0
    return Estimate(rate, float(low), float(high))


def choose(loans: Portfolio, policy: PolicyFile, budget: float, terms: Terms) -> Choice:
    """The lowest cut-off within the budget, with bands and prices; or the closest one, named."""
    segment = policy.segments[loans.segment]
    cut_offs = {int(np.quantile(loans.points, 1.0 - s, method="higher")) for s in SHARES}
    error = (1.0 - CONFIDENCE) / len(cut_offs)
    steps = tuple(
        _step(loans, cut_off, _limits(loans, cut_off, segment, policy), error)
        for cut_off in sorted(cut_offs, reverse=True)
    )
    kept = [step for step in steps if step.within(budget)]
    chosen = min(kept, key=lambda step: step.cut_off_points, default=None)
    return Choice(
        segment=loans.segment,
        source=loans.source,
        loans=len(loans.points),
        budget=budget,
        steps=steps,
        chosen=chosen,
        lowest=min(steps, key=lambda step: max(step.bad.high, step.expected)),
        loans_needed=math.ceil(math.log(error / 2) / math.log1p(-budget)),
        bands=() if chosen is None else _bands(loans, chosen, policy, terms),
    )


def _step(loans: Portfolio, cut_off: int, limits: list[tuple[int, int]], error: float) -> Step:
    """A cut-off measured on the amounts that its bands' limits would have let out."""
    passed = loans.points >= cut_off
    amounts = _lent(loans, passed, limits)
    return Step(
        cut_off_points=cut_off,
        loans=int(passed.sum()),
        approved=float(passed.mean()),
        approved_amount=float(amounts.sum() / loans.amounts.sum()),
        expected=float(amounts @ loans.pd[passed] / amounts.sum()),
        bad=bad_by_amount(amounts, loans.bad[passed], error),
    )


def _lent(
    loans: Portfolio, passed: Passed, limits: list[tuple[int, int]]
) -> npt.NDArray[np.float64]:
    """What each loan that passes would get: what was asked, at most its band's limit."""
    starts = np.array([start for start, _ in limits])
    most = np.array([limit for _, limit in limits], dtype=float)
    band = np.searchsorted(starts, loans.points[passed], side="right") - 1
    lent: npt.NDArray[np.float64] = np.minimum(loans.amounts[passed], most[band])
    return lent


def _limits(
    loans: Portfolio, cut_off: int, segment: SegmentPolicy, policy: PolicyFile
) -> list[tuple[int, int]]:
    """First points and limit of each band, worst band first: thirds of the loans that pass.

    A better band never has a lower limit, and none has more than the person's
    cap. The amounts alone decide, never the outcomes.
    """
    passed = loans.points[loans.points >= cut_off]
    thirds = np.quantile(passed, [1 / 3, 2 / 3], method="higher").astype(int)
    starts = sorted({cut_off, *(int(start) for start in thirds)})
    found: list[tuple[int, int]] = []
    least = policy.amount_step_fen
    for start, end in zip(starts, [*starts[1:], segment.points_max + 1], strict=True):
        inside = (loans.points >= start) & (loans.points < end)
        limit = int(np.quantile(loans.amounts[inside], LIMIT_QUANTILE, method="lower"))
        limit -= limit % policy.amount_step_fen
        least = min(max(limit, least), segment.exposure_cap_fen)
        found.append((start, least))
    return found


def _bands(loans: Portfolio, chosen: Step, policy: PolicyFile, terms: Terms) -> tuple[Band, ...]:
    """The bands of the chosen cut-off, each with the cheapest tier that covers its cost.

    The whole expected loss is laid on one year, which is dear for a longer loan
    and right for one of twelve months.
    """
    segment = policy.segments[loans.segment]
    limits = _limits(loans, chosen.cut_off_points, segment, policy)
    ends = [start - 1 for start, _ in limits[1:]] + [segment.points_max]
    names = BAND_NAMES[len(BAND_NAMES) - len(limits) :]
    bands = []
    for name, (start, limit_fen), end in zip(names, limits, ends, strict=True):
        inside = (loans.points >= start) & (loans.points <= end)
        lent = np.minimum(loans.amounts[inside], limit_fen)
        pd = float(lent @ loans.pd[inside] / lent.sum())
        loss_bps = pd * terms.loss_given_default * BASIS_POINTS
        apr_bps = terms.funding_bps + math.ceil(loss_bps)
        bands.append(Band(name, start, end, limit_fen, pd, apr_bps, _tier(apr_bps, policy)))
    return tuple(bands)


def _tier(apr_bps: int, policy: PolicyFile) -> str | None:
    """The policy's cheapest tier in which an offer may carry this yearly rate."""
    tiers = sorted(policy.price_tiers.items(), key=lambda item: item[1].apr_max_bps)
    return next((name for name, tier in tiers if tier.apr_max_bps >= apr_bps), None)
