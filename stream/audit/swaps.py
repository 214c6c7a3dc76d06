"""Effects added up: approval, money, expected loss, and who is swapped in or out.

Expected loss of an approval is pd x LGD x amount. The LGD, the share of a defaulted
loan that is lost, is one figure for all. Unless another is given it is 40 %: what the
Basel framework (CRE32.6) takes for unsecured senior claims on companies, and nothing
measured on these customers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from stream.audit.what_if import Effect, Side

LGD = 0.4
ALL = "all"


class Group(msgspec.Struct):
    """Some approvals: how many, their money, and pd added up."""

    count: int = 0
    amount_fen: int = 0
    pd_sum: float = 0.0
    pd_amount_sum: float = 0.0
    """pd x amount in fen: the expected loss, but for the LGD."""
    reasons: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, amount_fen: int, pd: float, reason: str = "") -> None:
        """Count one."""
        self.count += 1
        self.amount_fen += amount_fen
        self.pd_sum += pd
        self.pd_amount_sum += pd * amount_fen
        if reason:
            self.reasons[reason] += 1

    def merge(self, other: Group) -> None:
        """Count another's."""
        self.count += other.count
        self.amount_fen += other.amount_fen
        self.pd_sum += other.pd_sum
        self.pd_amount_sum += other.pd_amount_sum
        self.reasons.update(other.reasons)

    @property
    def mean_pd(self) -> float | None:
        """Of each approval alike; None of nobody."""
        return self.pd_sum / self.count if self.count else None

    def loss_fen(self, lgd: float) -> int:
        """Expected loss."""
        return round(self.pd_amount_sum * lgd)

    def loss_share(self, lgd: float) -> float | None:
        """Expected loss as a share of the money; None without money."""
        return self.pd_amount_sum * lgd / self.amount_fen if self.amount_fen else None


class Sums(msgspec.Struct):
    """The effects on one segment, or on all of them."""

    decisions: int = 0
    rescored: int = 0
    before: Group = msgspec.field(default_factory=Group)
    before_by_new_pd: Group = msgspec.field(default_factory=Group)
    """The approvals there were, by the pd that is asked about: `before` while no score changes."""
    after: Group = msgspec.field(default_factory=Group)
    swapped_in: Group = msgspec.field(default_factory=Group)
    """Reasons are those of the referral there was."""
    swapped_out: Group = msgspec.field(default_factory=Group)
    """Reasons are those of the referral there would be."""
    resized: int = 0
    resized_by_fen: int = 0
    points_before: Counter[int] = msgspec.field(default_factory=Counter)
    points_after: Counter[int] = msgspec.field(default_factory=Counter)

    def add(self, effect: Effect) -> None:
        """Count one decision."""
        before, after = effect.before, effect.after
        self.decisions += 1
        self.rescored += effect.rescored
        if before.points is not None:
            self.points_before[before.points] += 1
        if after.points is not None:
            self.points_after[after.points] += 1
        pd = _pd(before, after)
        if before.approved:
            self.before.add(before.amount_fen, before.pd or 0.0)
            self.before_by_new_pd.add(before.amount_fen, pd)
            if not after.approved:
                self.swapped_out.add(before.amount_fen, pd, after.reason)
        if after.approved:
            self.after.add(after.amount_fen, pd)
            if not before.approved:
                self.swapped_in.add(after.amount_fen, pd, before.reason)
            elif before.amount_fen != after.amount_fen:
                self.resized += 1
                self.resized_by_fen += after.amount_fen - before.amount_fen

    def merge(self, other: Sums) -> None:
        """Count another's."""
        self.decisions += other.decisions
        self.rescored += other.rescored
        self.resized += other.resized
        self.resized_by_fen += other.resized_by_fen
        for name in ("before", "before_by_new_pd", "after", "swapped_in", "swapped_out"):
            getattr(self, name).merge(getattr(other, name))
        self.points_before.update(other.points_before)
        self.points_after.update(other.points_after)


def add(sums: dict[str, Sums], effects: Iterable[Effect]) -> None:
    """Count the effects into the sums of their segments."""
    for effect in effects:
        name = effect.segment.value
        if name not in sums:
            sums[name] = Sums()
        sums[name].add(effect)


def merged(parts: Iterable[dict[str, Sums]]) -> dict[str, Sums]:
    """Sums of several parts, with `all` first."""
    whole: dict[str, Sums] = {ALL: Sums()}
    for part in parts:
        for name, sums in part.items():
            whole.setdefault(name, Sums()).merge(sums)
            whole[ALL].merge(sums)
    return whole


def _pd(before: Side, after: Side) -> float:
    """The pd that is asked about; the recorded one where the case no longer meets a model."""
    if after.pd is not None:
        return after.pd
    return before.pd or 0.0
