"""What an offer as large as the request does to a score, where the data knows no such request."""

from __future__ import annotations

import numpy as np

from stream.lab.fit import Fit, FloatMatrix, Labels
from stream.lab.recipe import Recipe
from stream.scoring.scorecard import to_points

RATIO, LIMIT, ASKED = "amount_to_limit", "offer_limit_fen", "requested_amount_fen"

LEAST = 1.12
"""Guaranteed at nine tenths: the lowest ratio that has rows enough to be measured."""


def with_full_offer(recipe: Recipe, rows: FloatMatrix) -> FloatMatrix:
    """The same rows, each with an offer as large as what it asks for."""
    names = recipe.names
    full = rows.copy()
    full[:, names.index(RATIO)] = 1.0
    full[:, names.index(LIMIT)] = full[:, names.index(ASKED)]
    return full


def full_offer_caveat(
    recipe: Recipe, model: Fit, held_out: FloatMatrix, bad: Labels, cut_off: int
) -> str | None:
    """How many held-out rows would pass with such an offer, and why; None where no offer counts."""
    if RATIO not in recipe.names:
        return None

    def passing(rows: FloatMatrix) -> float:
        points = [to_points(float(value), recipe.scaling) for value in model.log_odds(rows)]
        return float(np.mean(np.asarray(points) >= cut_off))

    ratio = held_out[:, recipe.names.index(RATIO)]
    least, lowest = bad[ratio <= LEAST].mean(), ratio.min()
    full, as_is = passing(with_full_offer(recipe, held_out)), passing(held_out)
    return (
        f"with an offer as large as the request {full:.1%} of the held-out rows reach the "
        f"suggested cut-off, as they are {as_is:.1%}. The cause is the data: every row asks for "
        f"more than its limit, {lowest:.2f} times as much at least; up to {LEAST} times "
        f"{least:.1%} went bad, of all {bad.mean():.1%}, and the trees carry the best they saw on "
        "to 1 and below. No row says whether that is right: among requests within their offer this "
        "score refuses hardly anybody, so the cut-off is no guard there until it is set on "
        "outcomes of such requests"
    )
