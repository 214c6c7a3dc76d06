"""Approvals of one segment in order of time, with running totals: asking changes nothing."""

from __future__ import annotations

from bisect import bisect_left

from msgspec import Struct, field


class Approvals(Struct):
    """Instants in ms at which approvals were given, oldest first; how many and how much till then.

    A batch decides at one instant, so an instant stands for many approvals: one place a batch.
    """

    instants_ms: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    """Approvals up to and with each instant."""
    totals_fen: list[int] = field(default_factory=list)
    """Fen approved up to and with each instant."""

    def add(self, at_ms: int, amount_fen: int) -> None:
        """Take in one approval, in its place should a clock have been set back."""
        instants = self.instants_ms
        place = len(instants) - 1
        if place < 0 or instants[place] != at_ms:
            place = self._open(at_ms)
        for later in range(place, len(instants)):  # one, unless a clock was set back
            self.counts[later] += 1
            self.totals_fen[later] += amount_fen

    def since(self, since_ms: int) -> tuple[int, int]:
        """How many approvals and fen there are at or after `since_ms`.

        It may be asked for a time to come, by a clock that is wrong, and for an earlier one after.
        """
        if not self.instants_ms:
            return 0, 0
        count, before_fen = self._before(bisect_left(self.instants_ms, since_ms))
        return self.counts[-1] - count, self.totals_fen[-1] - before_fen

    def forget(self, before_ms: int) -> None:
        """Drop what was approved before `before_ms`."""
        first = bisect_left(self.instants_ms, before_ms)
        if not first:
            return
        count, before_fen = self._before(first)
        self.instants_ms = self.instants_ms[first:]
        self.counts = [each - count for each in self.counts[first:]]
        self.totals_fen = [each - before_fen for each in self.totals_fen[first:]]

    def _before(self, place: int) -> tuple[int, int]:
        return (self.counts[place - 1], self.totals_fen[place - 1]) if place else (0, 0)

    def _open(self, at_ms: int) -> int:
        """The place of an instant, made where there is none."""
        place = bisect_left(self.instants_ms, at_ms)
        if place == len(self.instants_ms) or self.instants_ms[place] != at_ms:
            count, before_fen = self._before(place)
            self.instants_ms.insert(place, at_ms)
            self.counts.insert(place, count)
            self.totals_fen.insert(place, before_fen)
        return place
