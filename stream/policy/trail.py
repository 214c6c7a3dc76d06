"""The trail of a decision read as a table: every rule in its order, with those that passed.

A record names the rules that referred, limited or were left out, and the score
against its cut-off. The others up to there passed: which they are follows from
the order, and what they saw is in the record's application, offer, report and
standing.
"""

from __future__ import annotations

from collections.abc import Sequence

from stream.domain.decision import RuleHit

ORDER = (
    "consent", "authorisation", "events", "deadline", "halt", "product", "caps", "store", "offer",
    "bureau", "knock_outs", "features", "model", "affordability", "exposure", "limit", "price",
    "breaker",
)  # fmt: skip
"""A knock-out's line bears the knock-out's own name."""

_ONLY_IF_NAMED = frozenset(("events", "product", "features"))
"""Asked only where there is something to ask: a rule of the case, not of the order."""


def whole_trail(trail: Sequence[RuleHit]) -> list[RuleHit]:
    """The lines of a first-stage trail, and in their places a `pass` without values for the rest.

    A second-stage trail names every rule as it is.
    """
    if any(hit.rule == "answer" for hit in trail):
        return list(trail)
    found: list[RuleHit] = []
    for rule in ORDER:
        here = [hit for hit in trail if _place(hit) == rule]
        if not here and rule not in _ONLY_IF_NAMED:
            here = [RuleHit(rule, "pass", {})]
        found += here
        if any(hit.result == "refer" for hit in here):
            break
    return found


def _place(hit: RuleHit) -> str:
    return hit.rule if hit.rule in ORDER else "knock_outs"
