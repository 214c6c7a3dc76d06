"""From a model's outputs to log-odds, probability of default, points and ranked reasons.

The model answers one log-odds of bad per reason family and a base. Their sum is
the score, so each family's share is exact and no explanation is estimated.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from stream.scoring.manifest import Manifest, Scaling

PD_DECIMALS = 9
"""Beyond nine decimals the last bit of exp() may differ from one C library to the next."""


def log_odds_of_bad(outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Sum of the outputs of each row, added in column order so that batches change nothing."""
    total = np.zeros(len(outputs), dtype=np.float64)
    for column in range(outputs.shape[1]):
        total += outputs[:, column]
    return total


def to_pd(log_odds: float) -> float:
    """Probability of default of a log-odds of bad; never overflows."""
    if log_odds >= 0:
        pd = 1.0 / (1.0 + math.exp(-log_odds))
    else:
        odds = math.exp(log_odds)
        pd = odds / (1.0 + odds)
    return round(pd, PD_DECIMALS)


def to_points(log_odds: float, scaling: Scaling) -> int:
    """Score in points, higher is safer; halves go up."""
    per_unit = scaling.pdo / math.log(2.0)
    points = scaling.base_points - per_unit * (log_odds + math.log(scaling.base_odds))
    return math.floor(points + 0.5)


def all_points(log_odds: npt.NDArray[np.float64], scaling: Scaling) -> list[int]:
    """`to_points` of a column: the same steps in the same order."""
    per_unit = scaling.pdo / math.log(2.0)
    points = scaling.base_points - per_unit * (log_odds + math.log(scaling.base_odds))
    # An absurd score is a number beyond any integer of numpy's, and must still be one.
    return list(map(math.floor, (points + 0.5).tolist()))


def centred(outputs: npt.NDArray[np.float32], manifest: Manifest) -> npt.NDArray[np.float64]:
    """Of each row, each family's log-odds less what the approved population has on average."""
    centres = np.array([family.centre_log_odds for family in manifest.families])
    less: npt.NDArray[np.float64] = outputs[:, : len(centres)] - centres
    return less
