"""What may be said of a trial at any time: the tests are exact where they can be."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy import stats

from stream.trials.difference import Difference
from stream.trials.hazard import BadLoan, Hazard
from stream.trials.share import at_least, log_e, p_chi_square, p_drawn, p_more

LEVEL = 0.01


def _difference(champion: float, challenger: float, count: int, share: float = 0.2) -> Difference:
    """So many units, whose approvals have these rates."""
    chance, found = random.Random(5), Difference.blank(share)
    for _ in range(count):
        drawn = chance.random() < share
        rate = challenger if drawn else champion
        found.take(float(chance.random() < rate), challenger=drawn)
    return found


def test_an_e_value_is_one_on_average_under_its_null() -> None:
    """Summed over all counts with their chances, the mixture is exactly 1: it bets at fair odds."""
    n, p = 40, 0.3
    chances = stats.binom.pmf(range(n + 1), n, p)
    mean = sum(c * math.exp(log_e(k, n, p, (2.0, 5.0))) for k, c in enumerate(chances))
    assert pytest.approx(1.0) == mean


def test_a_bad_loan_says_what_its_likelihood_ratio_says() -> None:
    """By count, one loan in the challenger's arm is g / (1 + f (g - 1)), averaged over the bets."""
    gains = [2 ** (step / 2 - 0.25) for step in range(1, 9)]
    f = 20 / 100
    expected = sum(g / (1 + f * (g - 1)) for g in gains) / len(gains)
    said = Hazard(
        [BadLoan(challenger=True, weight=1.0, at_risk_champion=80, at_risk_challenger=20)]
    )
    assert pytest.approx(1 / expected) == said.p_above(1.0)


@pytest.mark.parametrize("weight", [1.0, 0.3])
@pytest.mark.parametrize("ratio", [0.5, 1.0, 3.0])
def test_no_bet_on_bad_loans_gains_at_the_ratio_it_is_against(ratio: float, weight: float) -> None:
    """Over both arms, with the chance that `ratio` gives them, the mean factor is exactly 1."""
    f = ratio * 30 / (ratio * 30 + 70)
    loans = (
        Hazard(
            [BadLoan(challenger=each, weight=weight, at_risk_champion=70, at_risk_challenger=30)]
        )
        for each in (True, False)
    )
    inside, outside = (math.exp(each._log_e(ratio, np.array([1.5, 4.0]))) for each in loans)
    assert pytest.approx(1.0) == f * inside + (1 - f) * outside


def test_the_estimate_of_a_difference_is_unbiased_for_any_guess() -> None:
    """Weighed by the draw's chances, a unit's signed value is the difference of its two values."""
    share, values = 0.2, {True: 0.9, False: 0.4}
    mean = 0.0
    for drawn, chance in ((True, share), (False, 1 - share)):
        unit = _difference(0.5, 0.8, 30)
        before = unit.signed
        unit.take(values[drawn], challenger=drawn)
        mean += chance * (unit.signed - before)
    assert pytest.approx(0.5) == mean


def test_an_interval_ends_where_its_p_value_reaches_the_level() -> None:
    """What the interval excludes is what is rejected, at half the level on either side."""
    approval = _difference(0.6, 0.4, 3_000)
    low, high = approval.interval(LEVEL)
    assert low < -0.2 < high < 0
    assert pytest.approx(LEVEL / 2, rel=1e-6) == approval.p_above(low)
    assert pytest.approx(LEVEL / 2, rel=1e-6) == approval.p_below(high)
    bad = Hazard([BadLoan(n % 2 == 0, 1.0, 80, 20) for n in range(30)])
    low, high = bad.interval(LEVEL)
    assert 1 < low < 4 < high
    assert pytest.approx(LEVEL / 2, rel=1e-6) == bad.p_above(low)
    share = at_least(30, 1_000, LEVEL)
    assert 0.01 < share < 0.03
    assert pytest.approx(LEVEL, rel=1e-6) == p_more(30, 1_000, share)


def test_where_nothing_is_known_everything_is_possible() -> None:
    """No unit, no bad loan, no applicant: intervals are whole and chances are 1."""
    nothing = Difference.blank(0.05)
    assert nothing.interval(LEVEL) == (-1.0, 1.0)
    assert nothing.estimate is None
    low, high = Hazard([]).interval(LEVEL)
    assert low == 0
    assert high > 500
    alone = Hazard([BadLoan(True, 1.0, 0, 9)])
    assert alone.count == 0
    assert (
        p_drawn(0, 0, 0.05), p_chi_square(0, 0, 0.05), p_more(0, 0, 0.05), at_least(0, 0, LEVEL)
    ) == (1.0, 1.0, 1.0, 0.0)  # fmt: skip


def test_values_out_of_bounds_are_refused() -> None:
    """The process would not be fair for them."""
    for share in (0.0, 1.0):
        with pytest.raises(ValueError, match="share"):
            Difference.blank(share)
    with pytest.raises(ValueError, match="value"):
        Difference.blank(0.5).take(1.01, challenger=True)


def test_chi_square_is_the_usual_one() -> None:
    """As another library has it."""
    k, n, p = 260, 1_000, 0.2
    expected = stats.chisquare([k, n - k], [n * p, n * (1 - p)]).pvalue
    assert pytest.approx(expected) == p_chi_square(k, n, p)


def test_looking_after_every_batch_alarms_no_more_often_than_stated() -> None:
    """500 trials without harm, 8 looks each: each of three tests at 5 % keeps to 5 %."""
    chance = np.random.default_rng(11)
    alarms = {"approval": 0, "bad": 0, "draw": 0}
    for _ in range(500):
        drawn = chance.random(320) < 0.2
        approved = chance.random(320) < 0.6
        bad_drawn = chance.random(32) < 0.2
        approval, hit = Difference.blank(0.2), set()
        for look in range(8):
            for place in range(40 * look, 40 * (look + 1)):
                approval.take(float(approved[place]), challenger=bool(drawn[place]))
            loans = [BadLoan(bool(each), 1.0, 400, 100) for each in bad_drawn[: 4 * (look + 1)]]
            hit |= {"approval"} if approval.p_below(0.0) <= 0.05 else set()
            hit |= {"bad"} if Hazard(loans).p_above(1.0) <= 0.05 else set()
            seen = 40 * (look + 1)
            hit |= {"draw"} if p_drawn(int(drawn[:seen].sum()), seen, 0.2) <= 0.05 else set()
        for name in hit:
            alarms[name] += 1
    assert max(alarms.values()) <= 25, alarms


def test_planted_harm_is_found() -> None:
    """Twice the bad loans, a spoilt draw and a quarter fewer approvals each stop a trial."""
    chance = np.random.default_rng(3)
    loans = [BadLoan(bool(each), 1.0, 800, 200) for each in chance.random(400) < 1 / 3]
    assert Hazard(loans).p_above(1.0) < 0.001
    assert p_drawn(int((chance.random(4_000) < 0.25).sum()), 4_000, 0.2) < 0.001
    assert _difference(0.6, 0.45, 8_000).p_below(-0.05) < 0.01
