"""The rules of a decision, as the pipeline calls them: before the score, and after it."""

from __future__ import annotations

from stream.policy.after_score import after_score
from stream.policy.before_score import before_score
from stream.policy.breaker import BreakerLimits, partition_shares
from stream.policy.verdict import BreakerWindow, Case, Families, Score, Verdict

__all__ = [
    "BreakerLimits",
    "BreakerWindow",
    "Case",
    "Families",
    "Score",
    "Verdict",
    "after_score",
    "before_score",
    "partition_shares",
]
