"""Figures of a model that its manifest records: ranking, calibration, groups of people.

They are measured by `stream/lab` on rows that the model has not learned from
and read by the card, the inventory and whoever signs the model.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Share = Annotated[float, Meta(ge=0, le=1)]
Rows = Annotated[int, Meta(ge=1)]


class Measured(Struct, frozen=True, forbid_unknown_fields=True):
    """How well the model ranks rows it has not learned from."""

    auc: Share
    ks: Share
    gini: Annotated[float, Meta(ge=-1, le=1)]
    brier: Share
    rows: Rows
    bad_rate: Share


class OutOfTime(Measured, frozen=True, forbid_unknown_fields=True):
    """The same recipe trained before a date and measured after it."""

    split: str


class Bin(Struct, frozen=True, forbid_unknown_fields=True):
    """A tenth of the rows by rising pd: mean pd, share that went bad, its 95 % interval."""

    rows: Rows
    expected: Share
    observed: Share
    low: Share
    high: Share


class Estimate(Struct, frozen=True, forbid_unknown_fields=True):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Recalibrated(Struct, frozen=True, forbid_unknown_fields=True):
    """The pd after a further step, learned on one half of the held-out rows, measured on the other.

    `gain` is the mean log loss of the pd as it is, less that after the step.
    """

    name: str
    brier: Share
    error: Share
    gain: Estimate


class Calibration(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the pd is the share that goes bad; `stream/lab/calibration.py` has the formulas."""

    deciles: tuple[Bin, ...]
    expected_bad: Annotated[float, Meta(ge=0)]
    observed_bad: Annotated[int, Meta(ge=0)]
    slope: Estimate
    intercept: Estimate
    error: Share
    worst: Share
    spiegelhalter_z: float
    spiegelhalter_p: Share
    hosmer_lemeshow: Annotated[float, Meta(ge=0)]
    hosmer_lemeshow_p: Share
    recalibrated: tuple[Recalibrated, ...] = ()


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """People of one kind: `approved` and `good_approved` are shares of all and of the repaid."""

    name: str
    rows: Rows
    approved: Share
    good_approved: Share
    expected: Share
    observed: Share
    judged: bool
    """False where the group is too small for its share to count."""


class Driver(Struct, frozen=True, forbid_unknown_fields=True):
    """Mean points of a family in the lowest group less those in the highest."""

    family: str
    points: float


class Why(Struct, frozen=True, forbid_unknown_fields=True):
    """What an impact ratio comes from: the groups compared, and each family's gap, heaviest first.

    `evened_ratio` is what the ratio would be with the families `evened` at everyone's mean; null
    where nobody would be approved.
    """

    lowest: str
    highest: str
    gaps: tuple[Driver, ...]
    evened: tuple[str, ...]
    evened_ratio: Share | None


class Attribute(Struct, frozen=True, forbid_unknown_fields=True):
    """What people are told apart by; ratios are null where fewer than two groups are judged."""

    name: str
    groups: tuple[Group, ...]
    impact_ratio: Share | None
    good_impact_ratio: Share | None
    why: Why | None = None
    """What the ratio comes from; null where there is none."""


class Fairness(Struct, frozen=True, forbid_unknown_fields=True):
    """How groups fare at the suggested cut-off; `absent` is what the data does not record."""

    measured_on: str
    attributes: tuple[Attribute, ...]
    absent: tuple[str, ...]

    @property
    def expected_and_observed(self) -> tuple[float, float]:
        """Mean pd and share that went bad of all the rows, whatever their group."""
        groups = self.attributes[0].groups
        rows = sum(group.rows for group in groups)
        return (
            sum(group.expected * group.rows for group in groups) / rows,
            sum(group.observed * group.rows for group in groups) / rows,
        )
