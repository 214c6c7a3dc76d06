"""The figures of a score: ranking, calibration, and how sure a difference of two AUCs is."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from scipy.stats import norm, rankdata
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

DECIMALS = 4
BINS = 10
FloatVector = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


class Figures(Struct, frozen=True):
    """Of one model on rows it has not learned from; `auc_low` to `auc_high` covers 95 %."""

    auc: float
    auc_low: float
    auc_high: float
    gini: float
    ks: float
    brier: float
    calibration_error: float
    reliability: list[tuple[float, float]]
    """By tenth of the score: mean expected and observed share of bad."""


class Difference(Struct, frozen=True):
    """AUC of the first model minus that of the second on the same rows; 95 % interval."""

    auc: float
    low: float
    high: float


def _placements(bad: Labels, scores: FloatVector) -> tuple[FloatVector, FloatVector]:
    """For each bad row the share of good rows below it, for each good row the share of bad above.

    Their means are the AUC, their spread its variance: DeLong, DeLong and Clarke-Pearson,
    Biometrics 44 (1988), by ranks as in Sun and Xu, IEEE Signal Processing Letters 21 (2014).
    """
    is_bad = bad == 1
    bad_scores, good_scores = scores[is_bad], scores[~is_bad]
    ranks = rankdata(np.concatenate([bad_scores, good_scores]))
    bad_count, good_count = len(bad_scores), len(good_scores)
    of_bad = (ranks[:bad_count] - rankdata(bad_scores)) / good_count
    of_good = 1.0 - (ranks[bad_count:] - rankdata(good_scores)) / bad_count
    return of_bad, of_good


def _interval(of_bad: FloatVector, of_good: FloatVector) -> tuple[float, float, float]:
    mean = float(of_bad.mean())
    variance = of_bad.var(ddof=1) / len(of_bad) + of_good.var(ddof=1) / len(of_good)
    reach = float(norm.ppf(0.975)) * math.sqrt(float(variance))
    return round(mean, DECIMALS), round(mean - reach, DECIMALS), round(mean + reach, DECIMALS)


def difference(bad: Labels, first: FloatVector, second: FloatVector) -> Difference:
    """AUC of `first` minus AUC of `second`, with the correlation of the two in the interval."""
    bad_1, good_1 = _placements(bad, first)
    bad_2, good_2 = _placements(bad, second)
    return Difference(*_interval(bad_1 - bad_2, good_1 - good_2))


def _reliability(pd: FloatVector, bad: Labels) -> list[tuple[float, float, int]]:
    order = np.argsort(pd, kind="stable")
    return [
        (float(pd[part].mean()), float(bad[part].mean()), len(part))
        for part in np.array_split(order, BINS)
    ]


def measure(log_odds: FloatVector, bad: Labels) -> Figures:
    """All figures of a score; its calibration error is the mean gap over ten equal parts."""
    pd = 1.0 / (1.0 + np.exp(-log_odds))
    tenths = _reliability(pd, bad)
    gap = sum(abs(expected - seen) * count for expected, seen, count in tenths) / len(bad)
    false_positive, true_positive, _ = roc_curve(bad, log_odds)
    auc, low, high = _interval(*_placements(bad, log_odds))
    return Figures(
        auc=auc,
        auc_low=low,
        auc_high=high,
        gini=round(2.0 * float(roc_auc_score(bad, log_odds)) - 1.0, DECIMALS),
        ks=round(float(np.max(true_positive - false_positive)), DECIMALS),
        brier=round(float(brier_score_loss(bad, pd)), DECIMALS),
        calibration_error=round(gap, DECIMALS),
        reliability=[(round(e, DECIMALS), round(s, DECIMALS)) for e, s, _ in tenths],
    )
