"""What a model must not do to be written at all, checked by `tenminute train`.

The lines are this project's own but the first, which is the four-fifths rule
(29 CFR 1607.4 (D)). A calibration line is crossed only when the whole interval
lies beyond it: few rows prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from stream.errors import ModelError
from stream.scoring.figures import Calibration, Fairness
from stream.scoring.manifest import Manifest

IMPACT_RATIO_MIN = 0.8
SLOPE = (0.8, 1.25)
INTERCEPT = (-0.223, 0.223)
"""Odds a fifth too low to a quarter too high."""

ERROR_MAX = 0.03
"""Expected calibration error, as a share of loans."""


def breaches(calibration: Calibration, fairness: Fairness) -> Iterator[str]:
    """Every line that is crossed and that nobody has accepted with a reason."""
    for attribute in fairness.attributes:
        ratio = attribute.impact_ratio
        if ratio is not None and ratio < IMPACT_RATIO_MIN and attribute.accepted is None:
            yield f"impact ratio by {attribute.name} {ratio:.2f}, at least {IMPACT_RATIO_MIN}"
    for name, (low, high) in (("slope", SLOPE), ("intercept", INTERCEPT)):
        found = getattr(calibration, name)
        if found.high < low or found.low > high:
            yield f"calibration {name} {found.value:.2f}, inside {low:g} to {high:g}"
    if calibration.error > ERROR_MAX:
        yield f"expected calibration error {calibration.error:.3f}, at most {ERROR_MAX}"


def check_gate(manifest: Manifest) -> None:
    """ModelError that names every crossed line; such a model is not written."""
    crossed = list(breaches(manifest.metrics.calibration, manifest.metrics.fairness))
    if crossed:
        raise ModelError(
            f"{manifest.model_id} {manifest.version} does not pass the gate: {'; '.join(crossed)}",
            fix="change the recipe, or record under its `accepted` why the line does not hold",
        )
