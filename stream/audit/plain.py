"""Approvals settled without a trail: what most of a log is, at a third of the cost of the rules.

A case that meets no obstacle and has a score is answered here: approved, in full or for
less. Any other, the least doubt included, gets no answer and goes to the rules themselves
(`stream/policy/rules.py`). So this says nothing of its own: a property test holds its
answers to theirs, over policies and cases of every kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from stream.domain.application import Application, Segment
from stream.domain.bureau import BureauFeatures, BureauStatus
from stream.domain.instant import to_ms
from stream.domain.reasons import ReasonCode as Code
from stream.domain.whitelist import Conclusion, WhitelistEntry
from stream.limits import CLOCK_SKEW_MS_MAX, DECIDE_WITHIN_MS
from stream.policy.affordability import principal_fen, room_fen
from stream.policy.model import Policy, SegmentPolicy, Unknown, Value
from stream.policy.moments import moment_ms

if TYPE_CHECKING:
    from stream.audit.what_if import Logged

_PREAPPROVED = Conclusion.PREAPPROVED
_WITH_FILE = (BureauStatus.HIT, BureauStatus.THIN_FILE)
_OFFER, _BAND = Code.OFFER_LIMIT.value, Code.BAND_LIMIT.value
_INCOME, _EXPOSURE = Code.AFFORDABILITY.value, Code.EXPOSURE.value
_Knock = tuple[
    bool, Callable[[object], Value], Callable[[Value, int | float], bool], int | float, bool
]


class Plain(NamedTuple):
    """An approval: the amount, and the first reason where it is less than asked."""

    amount_fen: int
    reason: str


class PlainRules:
    """The rules of one policy, for cases that nothing stands against."""

    def __init__(self, policy: Policy) -> None:
        self._policy, halt = policy, policy.halt
        self._segments = {
            name: part
            for name, part in policy.segments.items()
            if not (halt.everything or name in halt.segments or part.model in halt.models)
        }
        self._knocks: dict[Segment, list[_Knock]] = {
            name: [rule[:5] for rule in policy.knock_outs[name]] for name in self._segments
        }

    def approval(self, logged: Logged, points: int, pd: float) -> Plain | None:
        """The answer where it is an approval; None leaves the case to the rules."""
        app, entry, now_ms = (
            logged.application,
            logged.whitelist_entry,
            to_ms(logged.decision.decided_at),
        )
        if app is None or entry is None:
            return None
        segment = self._segments.get(app.segment)
        if segment is None or not self._may(logged, app, now_ms):
            return None
        if not (self._asks_well(app) and _stands(app, entry, now_ms)):
            return None
        if not self._reported(app, logged.bureau, segment, now_ms):
            return None
        if self._knocked_out(app, logged.bureau):
            return None
        return self._amount(logged, app, entry, segment, points) if 0.0 <= pd <= 1.0 else None

    def _may(self, logged: Logged, app: Application, now_ms: int) -> bool:
        """Consent, events, deadline, stops, age of the store."""
        standing, given = logged.standing, app.authorization
        if (
            not given.automated_decision
            or standing.stopped_by is not None
            or standing.cancelled
            or standing.human_asked
            or standing.revoked_at_ms is not None
            or standing.store_age_ms > self._policy.store_age_max_ms
            or app.channel in self._policy.halt.channels
        ):
            return False
        signed_ms, expires_ms = moment_ms(given.signed_at), moment_ms(given.expires_at)
        if signed_ms is None or expires_ms is None or not signed_ms <= now_ms < expires_ms:
            return False
        due = app.decide_by
        due_ms = to_ms(due) if due else to_ms(app.submitted_at) + DECIDE_WITHIN_MS
        return now_ms <= due_ms

    def _asks_well(self, app: Application) -> bool:
        """Product, currency, amount, term, purpose."""
        policy = self._policy
        terms = policy.terms.get((app.product_code, app.segment))
        return (
            terms is not None
            and app.currency == policy.currency
            and terms.amount_min_fen <= app.requested_amount_fen <= terms.amount_max_fen
            and terms.term_min_months <= app.term_months <= terms.term_max_months
            and app.loan_purpose not in policy.barred_purposes
        )

    def _reported(
        self, app: Application, bureau: BureauFeatures | None, segment: SegmentPolicy, now_ms: int
    ) -> bool:
        """The bureau's report; where there is none, whether there need be."""
        if bureau is None:
            return segment.bureau_may_be_missing
        given, policy = app.authorization, self._policy
        if (
            bureau.applicant_token != app.applicant_token
            or bureau.status not in segment.bureau_accepted
            or bureau.scope not in policy.bureau_scopes
            or given.scope not in policy.bureau_scopes
            or (bureau.authorization_id != given.authorization_id and bureau.scope != given.scope)
        ):
            return False
        as_of_ms = moment_ms(bureau.as_of)
        return (
            as_of_ms is not None
            and -CLOCK_SKEW_MS_MAX <= now_ms - as_of_ms <= policy.bureau_age_max_ms
        )

    def _knocked_out(self, app: Application, bureau: BureauFeatures | None) -> bool:
        has_file = bureau is not None and bureau.status in _WITH_FILE
        declared = app.declared
        for of_bureau, read, hits, edge, when_missing in self._knocks[app.segment]:
            if of_bureau and not has_file:
                continue
            value = read(bureau if of_bureau else declared)
            if when_missing if value is None else hits(value, edge):
                return True
        return False

    def _amount(
        self,
        logged: Logged,
        app: Application,
        entry: WhitelistEntry,
        segment: SegmentPolicy,
        points: int,
    ) -> Plain | None:
        """Cut-off, the least of all bounds, price, breaker."""
        standing, policy, asked_fen = logged.standing, self._policy, app.requested_amount_fen
        raised = standing.raised_points if standing.tightened_by is not None else 0
        band = next((b for b in segment.bands if b.points_from <= points <= b.points_to), None)
        if band is None or points < segment.cut_off_points + raised:
            return None
        if not segment.points_min <= points <= segment.points_max:
            return None
        tier = policy.price_tiers.get(entry.price_tier)
        if tier is None or not tier.apr_min_bps <= entry.apr_bps <= tier.apr_max_bps:
            return None
        bounds = [
            bound
            for bound in (
                _room(logged.standing.exposure_fen, entry, segment),
                _income(app, logged.bureau, entry, segment),
                (band.limit_fen, _BAND),
                (entry.limit_fen, _OFFER),
            )
            if bound[0] < asked_fen
        ]
        amount_fen, reason = min(bounds, default=(asked_fen, ""))
        if bounds:
            amount_fen -= amount_fen % policy.amount_step_fen
            if amount_fen < policy.terms[app.product_code, app.segment].amount_min_fen:
                return None
        if (
            standing.approved_count + 1 > standing.approvals_max
            or standing.approved_fen + amount_fen > standing.amount_max_fen
        ):
            return None
        return Plain(amount_fen, reason)


def _stands(app: Application, entry: WhitelistEntry, now_ms: int) -> bool:
    """The standing offer: this person's, this segment's, not suspended, in force."""
    if (
        entry.applicant_token != app.applicant_token
        or entry.segment is not app.segment
        or (app.offer_id is not None and app.offer_id != entry.offer_id)
        or entry.conclusion is not _PREAPPROVED
    ):
        return False
    from_ms, to_ms_ = moment_ms(entry.valid_from), moment_ms(entry.valid_to)
    return from_ms is not None and to_ms_ is not None and from_ms <= now_ms < to_ms_


def _room(exposure_fen: int, entry: WhitelistEntry, segment: SegmentPolicy) -> tuple[int, str]:
    """What cap and offer leave after what is promised."""
    room_ = min(entry.limit_fen, segment.exposure_cap_fen) - exposure_fen
    most_fen = max(room_, 0)
    by_offer = exposure_fen == 0 and most_fen == entry.limit_fen
    return most_fen, _OFFER if by_offer else _EXPOSURE


def _income(
    app: Application, bureau: BureauFeatures | None, entry: WhitelistEntry, segment: SegmentPolicy
) -> tuple[int, str]:
    """What the income carries; a bound of -1, which approves nothing, where it must be known."""
    income_fen, debt_fen = app.declared.annual_income_fen, app.declared.monthly_debt_fen
    known_fen = bureau.monthly_debt_fen if bureau is not None else None
    if known_fen is not None and (debt_fen is None or known_fen > debt_fen):
        debt_fen = known_fen
    if income_fen is None or debt_fen is None:
        relies = segment.income_unknown is Unknown.RELY_ON_OFFER
        return (entry.limit_fen, _OFFER) if relies else (-1, _INCOME)
    instalment = room_fen(income_fen, debt_fen, segment.debt_share_max_bps)
    return principal_fen(instalment, entry.apr_bps, app.term_months), _INCOME
