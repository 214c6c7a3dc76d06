"""Calibration: whether of the loans with a pd of 5 % one in twenty goes bad.

Everything is measured on held-out rows. The sources of the figures:

- deciles of equal count by pd; the observed share's interval is Wilson's (1927);
- expected calibration error: the deciles' gaps, weighted by rows (Naeini,
  Cooper, Hauskrecht, AAAI 2015, with bins of equal count);
- slope: of a logistic regression of the outcome on the log-odds; intercept: in
  the large, with the slope held at 1 (Cox, Biometrika 45, 1958; Van Calster et
  al., BMC Medicine 17:230, 2019). 1 and 0 are ideal; Wald intervals;
- z of the Brier score (Spiegelhalter, Statistics in Medicine 5, 1986);
- Hosmer-Lemeshow over the deciles, chi-squared with ten degrees of freedom, as
  nothing was fitted on these rows (Hosmer, Lemeshow, Sturdivant, Applied
  Logistic Regression, 3rd ed., 5.2.2). Its power grows with the number of rows:
  with many it also finds gaps that no decision turns on;
- recalibration: Platt's logistic step (1999) and isotonic regression (Zadrozny and
  Elkan, KDD 2002), learned on each half of these rows and measured on the other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binomtest, chi2, norm
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from stream.lab.data import FloatVector
from stream.scoring.figures import Bin, Calibration, Estimate, Recalibrated

Labels = npt.NDArray[np.int64]

BINS = 10
DECIMALS = 4
CONFIDENCE = 0.95
_Z = float(norm.ppf(0.5 + CONFIDENCE / 2))
_HALVES_SEED = 20261125
Step = Callable[[FloatVector, Labels, FloatVector], FloatVector]
_INTERCEPT_MAX = 30.0
"""Bracket of the intercept in log-odds: beyond it every pd is 0 or 1."""


def calibration(log_odds: FloatVector, bad: Labels) -> Calibration:
    """Every figure for rows with these log-odds of bad and these outcomes, rounded."""
    pd: FloatVector = expit(log_odds)
    order = np.argsort(pd, kind="stable")
    parts = np.array_split(order, BINS)
    expected = np.array([pd[part].sum() for part in parts])
    observed = np.array([bad[part].sum() for part in parts])
    rows = np.array([len(part) for part in parts])
    gaps = np.abs(observed - expected)
    statistic = float((gaps**2 / (expected * (1.0 - expected / rows))).sum())
    z = _spiegelhalter(pd, bad)
    return Calibration(
        deciles=tuple(map(_bin, rows, expected, observed)),
        expected_bad=round(float(pd.sum()), 1),
        observed_bad=int(bad.sum()),
        slope=_slope(log_odds, bad),
        intercept=_intercept(log_odds, bad),
        error=_rounded(gaps.sum() / len(bad)),
        worst=_rounded((gaps / rows).max()),
        spiegelhalter_z=_rounded(z),
        spiegelhalter_p=_rounded(2.0 * norm.sf(abs(z))),
        hosmer_lemeshow=_rounded(statistic),
        hosmer_lemeshow_p=_rounded(chi2.sf(statistic, BINS)),
        recalibrated=tuple(
            _recalibrated(name, step, log_odds, bad)
            for name, step in (("Platt", _platt), ("isotonic", _isotonic))
        ),
    )


def _platt(log_odds: FloatVector, bad: Labels, others: FloatVector) -> FloatVector:
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    fitted = model.fit(log_odds.reshape(-1, 1), bad)
    pd: FloatVector = fitted.predict_proba(others.reshape(-1, 1))[:, 1]
    return pd


def _isotonic(log_odds: FloatVector, bad: Labels, others: FloatVector) -> FloatVector:
    """Never quite 0 or 1, as a step at an end would make one surprise infinitely bad."""
    least = 1.0 / (len(bad) + 2.0)
    steps = IsotonicRegression(y_min=least, y_max=1.0 - least, out_of_bounds="clip")
    pd: FloatVector = steps.fit(log_odds, bad).predict(others)
    return pd


def _loss(pd: FloatVector, bad: Labels) -> FloatVector:
    loss: FloatVector = -np.log(np.where(bad == 1, pd, 1.0 - pd))
    return loss


def _recalibrated(name: str, step: Step, log_odds: FloatVector, bad: Labels) -> Recalibrated:
    """Crosswise over two halves, so that each row is measured once."""
    pd = np.zeros(len(bad))
    halves = StratifiedKFold(2, shuffle=True, random_state=_HALVES_SEED).split(bad, bad)
    for learn, measured in halves:
        pd[measured] = step(log_odds[learn], bad[learn], log_odds[measured])
    gained = _loss(expit(log_odds), bad) - _loss(pd, bad)
    error = float(gained.std(ddof=1) / np.sqrt(len(bad)))
    parts = np.array_split(np.argsort(pd, kind="stable"), BINS)
    gaps = sum(abs(float(pd[part].sum()) - int(bad[part].sum())) for part in parts)
    return Recalibrated(
        name=name,
        brier=_rounded(float(((pd - bad) ** 2).mean())),
        error=_rounded(gaps / len(bad)),
        gain=_estimate(float(gained.mean()), error),
    )


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS)


def _estimate(value: float, standard_error: float) -> Estimate:
    reach = _Z * standard_error
    return Estimate(_rounded(value), _rounded(value - reach), _rounded(value + reach))


def _bin(rows: int, expected: float, observed: int) -> Bin:
    interval = binomtest(int(observed), int(rows)).proportion_ci(CONFIDENCE, method="wilson")
    shares = (expected / rows, observed / rows, interval.low, interval.high)
    return Bin(int(rows), *map(_rounded, shares))


def _spiegelhalter(pd: FloatVector, bad: Labels) -> float:
    """Zero on average where every pd is right, with a variance of one."""
    spread = ((1.0 - 2.0 * pd) ** 2 * pd * (1.0 - pd)).sum()
    return float(((bad - pd) * (1.0 - 2.0 * pd)).sum() / np.sqrt(spread))


def _slope(log_odds: FloatVector, bad: Labels) -> Estimate:
    """Below 1 the pd is too extreme, above 1 too timid."""
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    column = log_odds.reshape(-1, 1)
    fitted = model.fit(column, bad).predict_proba(column)[:, 1]
    design = np.column_stack([np.ones(len(log_odds)), log_odds])
    information = (design * (fitted * (1.0 - fitted))[:, np.newaxis]).T @ design
    variance = float(np.linalg.inv(information)[1, 1])
    return _estimate(float(model.coef_[0, 0]), float(np.sqrt(variance)))


def _intercept(log_odds: FloatVector, bad: Labels) -> Estimate:
    """What must be added to every log-odds so that as many are expected as went bad."""
    total = int(bad.sum())

    def surplus(shift: float) -> float:
        return float(expit(log_odds + shift).sum()) - total

    shift = float(brentq(surplus, -_INTERCEPT_MAX, _INTERCEPT_MAX, xtol=1e-12))
    fitted = expit(log_odds + shift)
    return _estimate(shift, float(1.0 / np.sqrt((fitted * (1.0 - fitted)).sum())))
