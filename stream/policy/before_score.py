"""The rules that need no score, in order: the first that refers ends the path.

consent → authorisation → events → deadline → kill switch → caps and purpose → store →
offer → bureau → knock-outs. One that refers, or is left out, writes a line to the
trail with the values it saw; one that is not named there passed. Nothing here
reads a clock: `case.now_ms` is the time.
"""

from __future__ import annotations

from stream.domain.bureau import BureauStatus
from stream.domain.decision import RuleHit
from stream.domain.reasons import ReasonCode as Code
from stream.domain.whitelist import Conclusion
from stream.limits import CLOCK_SKEW_MS_MAX
from stream.policy.model import KnockOut, Policy, SegmentPolicy
from stream.policy.moments import moment_ms
from stream.policy.verdict import Case, Values, Verdict, refer

_STATUS_REASON = {
    BureauStatus.HIT: Code.DATA_INCOMPLETE,
    BureauStatus.NO_HIT: Code.BUREAU_NO_FILE,
    BureauStatus.THIN_FILE: Code.BUREAU_THIN_FILE,
    BureauStatus.STALE: Code.BUREAU_STALE,
    BureauStatus.UNAUTHORISED: Code.BUREAU_UNAUTHORISED,
}
_PREAPPROVED = Conclusion.PREAPPROVED
_WITH_FILE = (BureauStatus.HIT, BureauStatus.THIN_FILE)


def before_score(case: Case, policy: Policy, trail: list[RuleHit]) -> Verdict | None:
    """Refer by the first rule that asks for it, or None: go on to the model."""
    reason = _consent(case, trail) or _events(case, trail)
    reason = reason or _deadline(case, trail) or _halt(case, policy, trail)
    if reason is not None:
        return refer(policy, (reason,))
    over_caps = _caps(case, policy, trail)
    if over_caps:
        return refer(policy, over_caps)
    reason = _store(case, policy, trail) or _offer(case, trail) or _bureau(case, policy, trail)
    if reason is not None:
        return refer(policy, (reason,))
    hits = _knock_outs(case, policy, trail)
    if not hits:
        return None
    overridable = all(rule.overridable for rule in hits)
    return refer(policy, [rule.reason for rule in hits], overridable=overridable)


def _consent(case: Case, trail: list[RuleHit]) -> Code | None:
    """A machine may decide only with consent, and under an authorisation in force."""
    given = case.app.authorization
    if not given.automated_decision:
        trail.append(RuleHit("consent", "refer", {"automated_decision": False}))
        return Code.CONSENT_MISSING
    signed_ms, expires_ms = moment_ms(given.signed_at), moment_ms(given.expires_at)
    if signed_ms is None or expires_ms is None or not signed_ms <= case.now_ms < expires_ms:
        values: Values = {"signed_at": given.signed_at, "expires_at": given.expires_at}
        trail.append(RuleHit("authorisation", "refer", {**values, "now_ms": case.now_ms}))
        return Code.CONSENT_EXPIRED
    return None


def _events(case: Case, trail: list[RuleHit]) -> Code | None:
    """What was said since: withdrawn, consent taken back, a person asked for."""
    if not (case.cancelled or case.human_asked or case.revoked_at_ms is not None):
        return None
    signed_ms = moment_ms(case.app.authorization.signed_at)
    reason: Code | None = None
    if case.cancelled:
        reason = Code.CANCELLED
    elif case.revoked_at_ms is not None and (signed_ms is None or signed_ms <= case.revoked_at_ms):
        reason = Code.CONSENT_REVOKED
    elif case.human_asked:
        reason = Code.HUMAN_REQUESTED
    values: Values = {
        "cancelled": case.cancelled,
        "human_asked": case.human_asked,
        "revoked": case.revoked_at_ms is not None,
    }
    trail.append(RuleHit("events", "refer" if reason else "pass", values))
    return reason


def _deadline(case: Case, trail: list[RuleHit]) -> Code | None:
    """Later than its deadline is referred as late; the deadline itself is in time."""
    left_ms = case.decide_by_ms - case.now_ms
    if left_ms >= 0:
        return None
    trail.append(RuleHit("deadline", "refer", {"left_ms": left_ms}))
    return Code.LATE


def _halt(case: Case, policy: Policy, trail: list[RuleHit]) -> Code | None:
    """The kill switch, by command or by the policy: everything, a segment, a channel, a model."""
    halt, app = policy.halt, case.app
    if case.stopped_by is not None:
        trail.append(RuleHit("halt", "refer", {"halted": True, "command_id": case.stopped_by}))
        return Code.HALTED
    segment = policy.segments.get(app.segment)
    if (
        halt.everything
        or app.segment in halt.segments
        or app.channel in halt.channels
        or (segment is not None and segment.model in halt.models)
    ):
        trail.append(RuleHit("halt", "refer", {"halted": True}))
        return Code.HALTED
    return None


def _caps(case: Case, policy: Policy, trail: list[RuleHit]) -> list[Code]:
    """Currency, product, amount, term and purpose; everything that is outside is named."""
    app = case.app
    asked_fen, term = app.requested_amount_fen, app.term_months
    terms = policy.terms.get((app.product_code, app.segment))
    if terms is None:
        trail.append(RuleHit("product", "refer", {"product_code": app.product_code}))
        return [Code.PRODUCT_UNKNOWN]
    reasons: list[Code] = []
    if app.currency != policy.currency:
        reasons.append(Code.CURRENCY)
    if asked_fen > terms.amount_max_fen:
        reasons.append(Code.AMOUNT_OVER_CAP)
    elif asked_fen < terms.amount_min_fen:
        reasons.append(Code.AMOUNT_UNDER_MIN)
    if not terms.term_min_months <= term <= terms.term_max_months:
        reasons.append(Code.TERM_OUTSIDE)
    if app.loan_purpose in policy.barred_purposes:
        reasons.append(Code.PURPOSE_BARRED)
    if reasons:
        values: Values = {
            "asked_fen": asked_fen,
            "cap_fen": terms.amount_max_fen,
            "term_months": term,
            "purpose": app.loan_purpose,
        }
        trail.append(RuleHit("caps", "refer", values))
    return reasons


def _store(case: Case, policy: Policy, trail: list[RuleHit]) -> Code | None:
    """Offers and reports read from a store that has fallen behind are not trusted."""
    if case.store_age_ms <= policy.store_age_max_ms:
        return None
    trail.append(RuleHit("store", "refer", {"age_ms": case.store_age_ms}))
    return Code.STORE_STALE


def _offer(case: Case, trail: list[RuleHit]) -> Code | None:
    """The standing offer: there, this person's, this segment's, not suspended, in force."""
    app, entry = case.app, case.entry
    if entry is None:
        trail.append(RuleHit("offer", "refer", {"listed": False}))
        return Code.NOT_LISTED
    if (
        entry.applicant_token != app.applicant_token
        or entry.segment is not app.segment
        or (app.offer_id is not None and app.offer_id != entry.offer_id)
    ):
        reason = Code.OFFER_MISMATCH
    elif entry.conclusion is not _PREAPPROVED:
        reason = Code.OFFER_SUSPENDED
    else:
        from_ms, to_ms = moment_ms(entry.valid_from), moment_ms(entry.valid_to)
        if from_ms is not None and to_ms is not None and from_ms <= case.now_ms < to_ms:
            return None
        reason = Code.OFFER_NOT_VALID
    values: Values = {
        "offer_id": entry.offer_id,
        "list_version": entry.list_version,
        "valid_to": entry.valid_to,
    }
    trail.append(RuleHit("offer", "refer", values))
    return reason


def _bureau(case: Case, policy: Policy, trail: list[RuleHit]) -> Code | None:
    """The bureau report: there if it must be, permitted, recent, of an accepted status."""
    segment = policy.segments[case.app.segment]
    bureau = case.bureau
    if bureau is None or bureau.applicant_token != case.app.applicant_token:
        accepted = bureau is None and segment.bureau_may_be_missing
        trail.append(RuleHit("bureau", "skip" if accepted else "refer", {"status": None}))
        return None if accepted else Code.BUREAU_MISSING
    reason = _bureau_fault(case, policy, segment)
    if reason is not None:
        values: Values = {
            "status": bureau.status,
            "as_of": bureau.as_of,
            "scope": bureau.scope,
        }
        trail.append(RuleHit("bureau", "refer", values))
    return reason


def _bureau_fault(case: Case, policy: Policy, segment: SegmentPolicy) -> Code | None:
    """Why a report that is there may not be used, if so.

    The report counts as permitted when its scope and the application's are both
    ones the policy knows, and it was fetched under this very authorisation or
    one of the same scope: a report from last week serves this week's
    application, a report fetched for another purpose never does.
    """
    bureau, given = case.bureau, case.app.authorization
    if bureau is None:
        return Code.BUREAU_MISSING
    same = bureau.authorization_id == given.authorization_id or bureau.scope == given.scope
    scopes = policy.bureau_scopes
    if not (same and bureau.scope in scopes and given.scope in scopes):
        return Code.BUREAU_UNAUTHORISED
    if bureau.status not in segment.bureau_accepted:
        return _STATUS_REASON[bureau.status]
    as_of_ms = moment_ms(bureau.as_of)
    if as_of_ms is None:
        return Code.BUREAU_STALE
    age_ms = case.now_ms - as_of_ms
    fresh = -CLOCK_SKEW_MS_MAX <= age_ms <= policy.bureau_age_max_ms
    return None if fresh else Code.BUREAU_STALE


def _knock_outs(case: Case, policy: Policy, trail: list[RuleHit]) -> list[KnockOut]:
    """Every knock-out that is met, in the order of the policy, with what it saw."""
    bureau, declared = case.bureau, case.app.declared
    has_file = bureau is not None and bureau.status in _WITH_FILE
    met: list[KnockOut] = []
    for of_bureau, read, hits, edge, when_missing, feature, rule in policy.knock_outs[
        case.app.segment
    ]:
        if of_bureau and not has_file:
            continue
        value = read(bureau if of_bureau else declared)
        if when_missing if value is None else hits(value, edge):
            trail.append(RuleHit(rule.id, "refer", {feature: value, "edge": edge}))
            met.append(rule)
    return met
