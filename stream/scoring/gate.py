"""What a model must not do to be written, signed or loaded, unless it was accepted with a reason.

The lines are this project's own but the first, which is the four-fifths rule
(29 CFR 1607.4 (D)). A calibration line is crossed when the whole interval lies beyond
it. What could not be measured crosses its line too: a group nobody recorded, or an
interval so wide that it holds all that is allowed. What is accepted stands in the
manifest, and such a model needs the signatures of two people.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from stream.errors import ModelError
from stream.scoring.figures import Calibration, Fairness
from stream.scoring.manifest import Manifest, Metrics

IMPACT_RATIO_MIN = 0.8
SLOPE = (0.8, 1.25)
INTERCEPT = (-0.223, 0.223)
"""Odds a fifth too low to a quarter too high."""

ERROR_MAX = 0.03
"""Expected calibration error, as a share of loans."""

NOBODY: Final = "people"
"""The line of a model that was measured on no group of people, and says of none that it lacks."""


class Breach(NamedTuple):
    """A line that is crossed: its name, as `accepted` spells it, and what was found."""

    line: str
    words: str


def crossed(calibration: Calibration, fairness: Fairness) -> Iterator[Breach]:
    """Every line that is crossed or could not be measured."""
    yield from _people(fairness)
    for name, (low, high) in (("slope", SLOPE), ("intercept", INTERCEPT)):
        found = getattr(calibration, name)
        if not (found.high >= low and found.low <= high):
            yield Breach(name, f"calibration {name} {found.value:.2f}, inside {low:g} to {high:g}")
        elif found.low < low and found.high > high:
            wide = f"{found.low:.2f} to {found.high:.2f}"
            yield Breach(name, f"calibration {name} not measured: {wide} holds {low:g} to {high:g}")
    if not calibration.error <= ERROR_MAX:
        words = f"expected calibration error {calibration.error:.3f}, at most {ERROR_MAX}"
        yield Breach("error", words)


def breaches(metrics: Metrics) -> list[str]:
    """What is crossed and nobody accepted, and what was accepted without need."""
    found = list(crossed(metrics.calibration, metrics.fairness))
    idle = metrics.accepted.keys() - {each.line for each in found}
    open_ = [each.words for each in found if each.line not in metrics.accepted]
    return open_ + [f"accepted, and not crossed: {line}" for line in sorted(idle)]


def check_gate(manifest: Manifest) -> None:
    """ModelError that names every crossed line; such a model is not written, signed or loaded."""
    if found := breaches(manifest.metrics):
        raise ModelError(
            f"{manifest.model_id} {manifest.version} does not pass the gate: {'; '.join(found)}",
            fix="change the recipe, or record under its `accepted` why the line need not hold",
        )


def _people(fairness: Fairness) -> Iterator[Breach]:
    for attribute in fairness.attributes:
        ratio, what = attribute.impact_ratio, f"impact ratio by {attribute.name}"
        if ratio is None:
            yield Breach(attribute.name, f"{what} not measured: too few rows")
        elif not ratio >= IMPACT_RATIO_MIN:
            yield Breach(attribute.name, f"{what} {ratio:.2f}, at least {IMPACT_RATIO_MIN}")
    for name in fairness.absent:
        yield Breach(name, f"impact ratio by {name} not measured: not in the data")
    if not fairness.attributes and not fairness.absent:
        yield Breach(NOBODY, "impact ratio not measured: no group of people is named")
