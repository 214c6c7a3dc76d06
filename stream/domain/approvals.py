"""Approvals of one segment in order of time, with a running total: asking changes nothing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate

from msgspec import Struct, field


class Approvals(Struct):
    """Approvals as (instant in ms, fen), oldest first, and the fen up to and with each."""

    approvals: list[tuple[int, int]] = field(default_factory=list)
    totals_fen: list[int] = field(default_factory=list)

    def add(self, at_ms: int, amount_fen: int) -> None:
        """Take in one approval, in its place should a clock have been set back."""
        approval = (at_ms, amount_fen)
        place = bisect_right(self.approvals, approval)
        self.approvals.insert(place, approval)
        self._total_from(place)

    def since(self, since_ms: int) -> tuple[int, int]:
        """How many approvals and fen there are at or after `since_ms`.

        It may be asked for a time to come, by a clock that is wrong, and for an earlier one after.
        """
        first = bisect_left(self.approvals, (since_ms,))
        before_fen = self.totals_fen[first - 1] if first else 0
        whole_fen = self.totals_fen[-1] if self.totals_fen else 0
        return len(self.approvals) - first, whole_fen - before_fen

    def forget(self, before_ms: int) -> None:
        """Drop what was approved before `before_ms`."""
        first = bisect_left(self.approvals, (before_ms,))
        if first:
            del self.approvals[:first]
            self.totals_fen.clear()
            self._total_from(0)

    def _total_from(self, place: int) -> None:
        """Sum anew from `place` on: one step, unless a clock was set back."""
        del self.totals_fen[place:]
        below_fen = self.totals_fen[-1] if place else 0
        amounts = (amount_fen for _, amount_fen in self.approvals[place:])
        self.totals_fen.extend(list(accumulate(amounts, initial=below_fen))[1:])
