"""The nearest yes: the smallest change of amount and term under which the same case is approved.

Nothing is estimated: each candidate goes through the engine's own pipeline, under
the policy and the model of the arm that decided, with the facts the recorded
decision was made on, and counts only when it is approved as it stands, in full.
More than was asked is never proposed. The search is over a grid, as a model need
not be monotone in the amount: terms of `TERMS`, amounts in `AMOUNT_STEPS` equal
steps, then the policy's own step next to the best of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import msgspec

from stream.audit.again import decide_instead
from stream.audit.at_hand import AtHand, Wanted
from stream.domain.application import Application
from stream.domain.decision import Audit, Decision, Outcome

TERMS = (3, 6, 9, 12, 18, 24, 30, 36, 48, 60)
"""Terms in months that a product is sold in, beside the one that was asked for."""

AMOUNT_STEPS = 20
REFINED_MAX = 50
"""Amounts tried between two steps of the grid."""


class NearestYes(NamedTuple):
    """An amount in fen and a term in months that are approved as they stand."""

    amount_fen: int
    term_months: int
    points: int | None

    def words(self, app: Application) -> dict[str, int]:
        """What changes, as a notice or a page says it: only what differs from what was asked."""
        asked = {
            "requested_amount_fen": app.requested_amount_fen,
            "term_months": app.term_months,
        }
        now = {"requested_amount_fen": self.amount_fen, "term_months": self.term_months}
        return {name: value for name, value in now.items() if value != asked[name]}


class Finder:
    """Looks for the nearest yes under the policy and models that each record names."""

    def __init__(self, at_hand: AtHand) -> None:
        """`at_hand` are the policies and models that records may name."""
        self._at_hand = at_hand

    def lacking(self, audit: Audit) -> str:
        """What the record names and is not at hand; what is in force stood in for it."""
        return self._at_hand.ready(Wanted.of(audit)).lacking

    def find(self, audit: Audit) -> NearestYes | None:
        """The nearest approved change; None when there is none, or nothing to change.

        Of a second-stage decision and of an application approved in full there is
        nothing to look for.
        """
        app, decision = audit.application, audit.decision
        if app is None or (decision.outcome is Outcome.APPROVE and not decision.counter_offer):
            return None
        _, policy, _, _ = self._at_hand.ready(Wanted.of(audit))
        terms = policy.terms.get((app.product_code, app.segment))
        if terms is None:
            return None
        step, least = policy.amount_step_fen, terms.amount_min_fen
        months = [t for t in TERMS if terms.term_min_months <= t <= terms.term_max_months]
        amounts = _grid(app.requested_amount_fen, least, step)
        coarse = self._best(audit, _changed(app, amounts, {app.term_months, *months}))
        if coarse is None:
            return None
        above = next((b for a, b in pairwise(sorted(amounts)) if a == coarse.amount_fen), None)
        if above is None:
            return coarse
        finer = _between(coarse.amount_fen, above, step)
        return self._best(audit, _changed(app, finer, {coarse.term_months})) or coarse

    def _best(self, audit: Audit, candidates: Iterable[Application]) -> NearestYes | None:
        """The approved candidate that is least far from what was asked."""
        app, pipeline = audit.application, self._at_hand.ready(Wanted.of(audit)).pipeline
        batch = decide_instead(pipeline, audit, list(candidates))
        approved = [each for each in batch.decisions if _in_full(each)]
        if app is None or not approved:
            return None
        best = min(approved, key=lambda each: _distance(app, each))
        return NearestYes(best.requested_amount_fen, best.term_months, best.score_points)


def _in_full(decision: Decision) -> bool:
    return decision.outcome is Outcome.APPROVE and not decision.counter_offer


def _distance(app: Application, other: Decision) -> tuple[float, int, int]:
    """Share of the amount given up plus share by which the term moves; then more, then shorter."""
    given_up = 1.0 - other.requested_amount_fen / app.requested_amount_fen
    moved = abs(other.term_months - app.term_months) / app.term_months
    return given_up + moved, -other.requested_amount_fen, other.term_months


def _grid(asked_fen: int, least_fen: int, step_fen: int) -> list[int]:
    """What was asked and equal parts of it, each rounded down to the policy's step."""
    parts = (asked_fen * part // AMOUNT_STEPS for part in range(1, AMOUNT_STEPS))
    rounded = {part - part % step_fen for part in parts}
    return sorted({asked_fen} | {part for part in rounded if part >= least_fen})


def _between(low_fen: int, high_fen: int, step_fen: int) -> list[int]:
    """From low to below high in the policy's step, widened so that there are not too many."""
    wide = max(1, -(-(high_fen - low_fen) // (step_fen * REFINED_MAX)))
    return list(range(low_fen, high_fen, step_fen * wide))


def _changed(app: Application, amounts: Iterable[int], months: set[int]) -> Iterator[Application]:
    """The application with each amount and term, each under an id of its own."""
    for number, (amount, term) in enumerate((a, t) for a in amounts for t in sorted(months)):
        yield msgspec.structs.replace(
            app,
            application_id=f"nearest-{number:06d}",
            requested_amount_fen=amount,
            term_months=term,
        )
