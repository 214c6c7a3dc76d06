"""Approvals of one segment within a sliding span, with their running total."""

from __future__ import annotations

from bisect import insort

from msgspec import Struct, field


class Approvals(Struct):
    """Approvals as (instant in ms, fen), oldest first."""

    approvals: list[tuple[int, int]] = field(default_factory=list)
    total_fen: int = 0

    def add(self, at_ms: int, amount_fen: int) -> None:
        """Take in one approval, in its place should a clock have been set back."""
        approval = (at_ms, amount_fen)
        if not self.approvals or self.approvals[-1] <= approval:
            self.approvals.append(approval)
        else:
            insort(self.approvals, approval)
        self.total_fen += amount_fen

    def since(self, since_ms: int) -> tuple[int, int]:
        """How many approvals and fen there are at or after `since_ms`; older ones are dropped."""
        old = 0
        for at_ms, amount_fen in self.approvals:
            if at_ms >= since_ms:
                break
            old += 1
            self.total_fen -= amount_fen
        if old:
            del self.approvals[:old]
        return len(self.approvals), self.total_fen
