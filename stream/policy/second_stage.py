"""The rules a reviewer's approval still has to pass: the world may have moved on since.

answer → override → events → consent → store → offer → product → exposure. A
reviewer decides the amount; where it no longer fits, the answer is a referral
with the reason, never another amount.
"""

from __future__ import annotations

from typing import NamedTuple

from stream.domain.decision import Outcome, RuleHit
from stream.domain.ledger import Referred
from stream.domain.reasons import ReasonCode as Code
from stream.domain.review import Answer, ReferralOutcome
from stream.domain.whitelist import Conclusion, WhitelistEntry
from stream.policy.model import Policy
from stream.policy.moments import moment_ms
from stream.policy.verdict import Values, Verdict, refer


class ReviewCase(NamedTuple):
    """Everything known when a reviewer's answer is checked; `now_ms` is the only clock."""

    answer: ReferralOutcome
    referred: Referred
    entry: WhitelistEntry | None
    now_ms: int
    store_age_ms: int
    exposure_fen: int
    cancelled: bool
    revoked_at_ms: int | None


def second_stage(case: ReviewCase, policy: Policy, trail: list[RuleHit]) -> Verdict:
    """Approve what the reviewer approved, or refer by the first rule that forbids it."""
    answer, entry = case.answer, case.entry
    trail.append(RuleHit("answer", "pass", {"answer": answer.answer.value}))
    if answer.answer is Answer.DECLINE:
        return refer(policy, (Code.DECLINED,), overridable=False)
    reason = (
        _override(case, trail)
        or _events(case, trail)
        or _store(case, policy, trail)
        or _offer(case, trail)
        or _amount(case, policy, trail)
    )
    if reason is not None or entry is None:
        return refer(policy, (reason or Code.NOT_LISTED,), overridable=False)
    return Verdict(
        outcome=Outcome.APPROVE,
        approved_amount_fen=answer.approved_amount_fen,
        reasons=(),
        trigger=None,
        queue=None,
        overridable=False,
        due_ms=0,
        price_tier=entry.price_tier,
        apr_bps=entry.apr_bps,
        band=None,
        counter_offer=answer.approved_amount_fen < case.referred.requested_amount_fen,
    )


def _override(case: ReviewCase, trail: list[RuleHit]) -> Code | None:
    allowed = case.referred.overridable
    trail.append(RuleHit("override", "pass" if allowed else "refer", {"overridable": allowed}))
    return None if allowed else Code.NOT_OVERRIDABLE


def _events(case: ReviewCase, trail: list[RuleHit]) -> Code | None:
    """Withdrawn since, consent taken back since, or the authorisation run out."""
    signed_ms = moment_ms(case.referred.consent_signed_at)
    expires_ms = moment_ms(case.referred.consent_expires_at)
    reason: Code | None = None
    if case.cancelled:
        reason = Code.CANCELLED
    elif case.revoked_at_ms is not None and (signed_ms is None or signed_ms <= case.revoked_at_ms):
        reason = Code.CONSENT_REVOKED
    elif expires_ms is None or case.now_ms >= expires_ms:
        reason = Code.CONSENT_EXPIRED
    values: Values = {
        "cancelled": case.cancelled,
        "revoked": case.revoked_at_ms is not None,
        "expires_at": case.referred.consent_expires_at,
    }
    trail.append(RuleHit("events", "refer" if reason else "pass", values))
    return reason


def _store(case: ReviewCase, policy: Policy, trail: list[RuleHit]) -> Code | None:
    stale = case.store_age_ms > policy.store_age_max_ms
    trail.append(RuleHit("store", "refer" if stale else "pass", {"age_ms": case.store_age_ms}))
    return Code.STORE_STALE if stale else None


def _offer(case: ReviewCase, trail: list[RuleHit]) -> Code | None:
    """An offer is still needed, for its price; and it must be in force now."""
    entry, referred = case.entry, case.referred
    if entry is None:
        trail.append(RuleHit("offer", "refer", {"listed": False}))
        return Code.NOT_LISTED
    reason: Code | None = None
    from_ms, to_ms = moment_ms(entry.valid_from), moment_ms(entry.valid_to)
    if entry.applicant_token != referred.applicant_token or entry.segment != referred.segment:
        reason = Code.OFFER_MISMATCH
    elif entry.conclusion is not Conclusion.PREAPPROVED:
        reason = Code.OFFER_SUSPENDED
    elif from_ms is None or to_ms is None or not from_ms <= case.now_ms < to_ms:
        reason = Code.OFFER_NOT_VALID
    values: Values = {"offer_id": entry.offer_id, "valid_to": entry.valid_to}
    trail.append(RuleHit("offer", "refer" if reason else "pass", values))
    return reason


def _amount(case: ReviewCase, policy: Policy, trail: list[RuleHit]) -> Code | None:
    """At most what was asked, the product's cap, and what offer and exposure leave."""
    referred, entry = case.referred, case.entry
    amount_fen = case.answer.approved_amount_fen
    segment = next((s for s in policy.segments if s == referred.segment), None)
    terms = None
    if segment is not None:
        terms = policy.terms.get((referred.product_code, segment))
    if terms is None or segment is None or entry is None:
        trail.append(RuleHit("product", "refer", {"product_code": referred.product_code}))
        return Code.PRODUCT_UNKNOWN
    cap_fen = min(terms.amount_max_fen, referred.requested_amount_fen)
    room_fen = min(policy.segments[segment].exposure_cap_fen, entry.limit_fen) - case.exposure_fen
    reason: Code | None = None
    if amount_fen < terms.amount_min_fen:
        reason = Code.AMOUNT_UNDER_MIN
    elif amount_fen > cap_fen:
        reason = Code.AMOUNT_OVER_CAP
    elif amount_fen > room_fen:
        reason = Code.EXPOSURE
    values: Values = {
        "amount_fen": amount_fen,
        "cap_fen": cap_fen,
        "exposure_fen": case.exposure_fen,
        "room_fen": max(0, room_fen),
    }
    trail.append(RuleHit("amount", "refer" if reason else "pass", values))
    return reason
