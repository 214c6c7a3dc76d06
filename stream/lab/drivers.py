"""What an impact ratio comes from: how far apart two groups are, family by family.

Families add up to the score, so the gap between the group approved least and the
one approved most is the sum of the families' gaps. Nothing is estimated.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from stream.lab.data import FloatVector
from stream.lab.people import People
from stream.scoring.figures import Attribute, Driver, Fairness, Why
from stream.scoring.manifest import Scaling

EVENED = 2
"""So many families, those heaviest against the lowest group, are set to everyone's mean."""

Flags = npt.NDArray[np.bool_]


class Judged(NamedTuple):
    """Points of each row, as a whole and by family (rows, families), and the cut-off."""

    families: tuple[str, ...]
    by_family: FloatVector
    points: FloatVector
    cut_off: int

    @classmethod
    def of(
        cls, families: tuple[str, ...], outputs: FloatVector, scaling: Scaling, cut_off: int
    ) -> Judged:
        """From a model's outputs: log-odds of bad by family, then base."""
        by_family = outputs[:, : len(families)] * (-scaling.pdo / np.log(2.0))
        base = outputs[:, len(families) :].sum(axis=1) + np.log(scaling.base_odds)
        base_points = scaling.base_points - base * scaling.pdo / np.log(2.0)
        return cls(families, by_family, by_family.sum(axis=1) + base_points, cut_off)

    def ratio(self, points: FloatVector, groups: list[Flags]) -> float | None:
        """Lowest over highest share of approvals at other points; None where nobody is approved."""
        shares = [float((points[group] + 0.5 >= self.cut_off).mean()) for group in groups]
        return round(min(shares) / max(shares), 4) if max(shares) > 0.0 else None


def explained(found: Fairness, rows: People, judged: Judged) -> Fairness:
    """The same figures, with what each ratio comes from."""
    attributes = tuple(
        msgspec.structs.replace(each, why=_why(each, rows, judged)) for each in found.attributes
    )
    return msgspec.structs.replace(found, attributes=attributes)


def _why(attribute: Attribute, rows: People, judged: Judged) -> Why | None:
    """None where there is no ratio to explain."""
    if attribute.impact_ratio is None:
        return None
    names = rows.groups[attribute.name]
    groups = sorted((each.approved, each.name) for each in attribute.groups if each.judged)
    lowest, highest = groups[0][1], groups[-1][1]
    gaps = judged.by_family[names == lowest].mean(axis=0)
    gaps = gaps - judged.by_family[names == highest].mean(axis=0)
    order = np.argsort(gaps)
    heaviest = [int(i) for i in order[:EVENED] if gaps[i] < 0.0]
    cut = judged.by_family[:, heaviest]
    evened = judged.points + (cut.mean(axis=0) - cut).sum(axis=1)
    flags = [names == name for _, name in groups]
    return Why(
        lowest=lowest,
        highest=highest,
        gaps=tuple(Driver(judged.families[i], round(float(gaps[i]), 2)) for i in order),
        evened=tuple(judged.families[i] for i in heaviest),
        evened_ratio=judged.ratio(evened, flags),
    )
