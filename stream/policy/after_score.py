"""The rules that follow the score: cut-off, affordability, exposure, limit, price, breaker.

The amount is the least of what was asked, the offer's limit, the band's limit,
what the income carries and what exposure leaves. Less than asked is a
counter-offer and says why; less than the product's minimum is referred. The
trail has a line of the score against its cut-off, and one of each rule that
refers, limits or is left out; one that is not named there passed.
"""

from __future__ import annotations

from math import isfinite

from stream.domain.control import Raised
from stream.domain.decision import Outcome, RuleHit
from stream.domain.reasons import ReasonCode as Code
from stream.domain.whitelist import WhitelistEntry
from stream.limits import REASON_LOG_ODDS_MIN, REASONS_MAX
from stream.policy.affordability import principal_fen, room_fen
from stream.policy.model import Band, Policy, SegmentPolicy, Unknown
from stream.policy.verdict import BreakerWindow, Case, Score, Values, Verdict, refer

_MODEL_CODES = {code.value: code for code in Code if code.value.startswith("M_")}


# Names of their own: reading a member off an enum class costs as much as a rule.
_OFFER_LIMIT, _BAND_LIMIT = Code.OFFER_LIMIT, Code.BAND_LIMIT
_AFFORDABILITY, _EXPOSURE = Code.AFFORDABILITY, Code.EXPOSURE
_APPROVE = Outcome.APPROVE

_Bound = tuple[int, Code]
"""One upper bound of the amount in fen, and the reason it stands for."""


def after_score(
    case: Case,
    score: Score | None,
    policy: Policy,
    trail: list[RuleHit],
    window: BreakerWindow,
) -> Verdict:
    """Approve in full, approve less with reasons, or refer; `score` None is a model failure."""
    segment, entry = policy.segments[case.app.segment], case.entry
    if entry is None:
        trail.append(RuleHit("offer", "refer", {"listed": False}))
        return refer(policy, (Code.NOT_LISTED,))
    band = None if score is None else _band(score, segment)
    reasons = _model(score, band, segment, case.raised, trail)
    if reasons or band is None:
        return refer(policy, reasons or (Code.MODEL_FAILED,))
    affordable = _affordable(case, entry, segment, trail)
    if affordable is None:
        return refer(policy, (Code.INCOME_MISSING,), band=band.name)
    bounds = (
        _exposure(case, entry, segment, trail),
        affordable,
        (band.limit_fen, _BAND_LIMIT),
        (entry.limit_fen, _OFFER_LIMIT),
    )
    amount_fen, binding = _limit(case, bounds, policy, trail)
    if amount_fen == 0:
        return refer(policy, binding, band=band.name)
    reason = _price(entry, policy, trail) or _breaker(amount_fen, window, trail)
    if reason is not None:
        return refer(policy, (reason,), band=band.name)
    return Verdict(
        outcome=_APPROVE,
        approved_amount_fen=amount_fen,
        reasons=tuple(binding)[:REASONS_MAX],
        trigger=None,
        queue=None,
        overridable=False,
        due_ms=0,
        price_tier=entry.price_tier,
        apr_bps=entry.apr_bps,
        band=band.name,
        counter_offer=amount_fen < case.app.requested_amount_fen,
    )


def _band(score: Score, segment: SegmentPolicy) -> Band | None:
    """The band a sound score at or above the cut-off falls into."""
    for band in segment.bands:
        if band.points_from <= score.points <= band.points_to:
            return band
    return None


def _model(
    score: Score | None,
    band: Band | None,
    segment: SegmentPolicy,
    raised: Raised | None,
    trail: list[RuleHit],
) -> tuple[Code, ...]:
    """Reasons to refer on the score, none when it approves; the edge itself approves.

    A score outside the policy's scale, or below the cut-off with nothing that
    speaks against the case, cannot be explained: the model counts as failed. One
    that only a raised cut-off refers is explained by that.
    """
    if score is None:
        trail.append(RuleHit("model", "refer", {"points": None}))
        return (Code.MODEL_FAILED,)
    points, edge = score.points, segment.cut_off_points + (raised.points if raised else 0)
    sound = segment.points_min <= points <= segment.points_max and 0.0 <= score.pd <= 1.0
    passed = sound and points >= edge and band is not None
    values: Values = {
        "points": points,
        "cut_off_points": edge,
        "band": band.name if band is not None else None,
    }
    if raised is not None:
        values["tightened_by"] = raised.command_id
    trail.append(RuleHit("model", "pass" if passed else "refer", values))
    if passed:
        return ()
    by_guard = sound and band is not None and points >= segment.cut_off_points
    unexplained = Code.HALTED if by_guard else Code.MODEL_FAILED
    return (adverse(score) if sound else ()) or (unexplained,)


def adverse(score: Score) -> tuple[Code, ...]:
    """The families that make the case worse than the approved population, heaviest first.

    Those that weigh less than a point are no principal reasons; the heaviest is named even so.
    """
    worse = sorted(
        (-centred, name)
        for name, centred in score.by_family
        if isfinite(centred) and centred > 0 and name in _MODEL_CODES
    )
    heavy = [pair for pair in worse if pair[0] <= -REASON_LOG_ODDS_MIN] or worse[:1]
    return tuple(_MODEL_CODES[name] for _, name in heavy[:REASONS_MAX])


def _affordable(
    case: Case, entry: WhitelistEntry, segment: SegmentPolicy, trail: list[RuleHit]
) -> _Bound | None:
    """The most that income carries beside all debts; None when that must be known and is not.

    Debts are the larger of what is declared and what the bureau knows. Where
    the segment relies on the offer, its limit stands in for the unknown.
    """
    values: Values
    declared, bureau = case.app.declared, case.bureau
    income_fen, debt_fen = declared.annual_income_fen, declared.monthly_debt_fen
    known_fen = bureau.monthly_debt_fen if bureau is not None else None
    if known_fen is not None and (debt_fen is None or known_fen > debt_fen):
        debt_fen = known_fen
    if income_fen is None or debt_fen is None:
        relies = segment.income_unknown is Unknown.RELY_ON_OFFER
        values = {"annual_income_fen": income_fen, "monthly_debt_fen": debt_fen}
        trail.append(RuleHit("affordability", "skip" if relies else "refer", values))
        return (entry.limit_fen, _OFFER_LIMIT) if relies else None
    instalment = room_fen(income_fen, debt_fen, segment.debt_share_max_bps)
    most_fen = principal_fen(instalment, entry.apr_bps, case.app.term_months)
    if most_fen < case.app.requested_amount_fen:
        values = {"room_fen": instalment, "affordable_fen": most_fen}
        trail.append(RuleHit("affordability", "limit", values))
    return most_fen, _AFFORDABILITY


def _exposure(
    case: Case, entry: WhitelistEntry, segment: SegmentPolicy, trail: list[RuleHit]
) -> _Bound:
    """What is left of the person's cap and of the offer after what is already promised."""
    cap_fen, limit_fen = segment.exposure_cap_fen, entry.limit_fen
    left_fen = (limit_fen if limit_fen < cap_fen else cap_fen) - case.exposure_fen
    most_fen = left_fen if left_fen > 0 else 0
    if most_fen < case.app.requested_amount_fen:
        values: Values = {"exposure_fen": case.exposure_fen, "room_fen": most_fen}
        trail.append(RuleHit("exposure", "limit", values))
    # With nothing promised yet, a room as small as the offer is the offer's doing.
    bound_by_offer = case.exposure_fen == 0 and most_fen == entry.limit_fen
    return most_fen, _OFFER_LIMIT if bound_by_offer else _EXPOSURE


def _limit(
    case: Case, bounds: tuple[_Bound, ...], policy: Policy, trail: list[RuleHit]
) -> tuple[int, list[Code]]:
    """The amount and the bounds below what was asked, tightest first; 0 is below the minimum."""
    asked_fen = case.app.requested_amount_fen
    binding = [bound for bound in bounds if bound[0] < asked_fen]
    if not binding:
        # What was asked has passed the caps, minimum included, before the score.
        return asked_fen, []
    binding.sort()
    least_fen = binding[0][0]
    amount_fen = least_fen - least_fen % policy.amount_step_fen
    enough = amount_fen >= policy.terms[case.app.product_code, case.app.segment].amount_min_fen
    values: Values = {"asked_fen": asked_fen, "amount_fen": amount_fen}
    trail.append(RuleHit("limit", "limit" if enough else "refer", values))
    return amount_fen if enough else 0, list(dict.fromkeys([reason for _, reason in binding]))


def _price(entry: WhitelistEntry, policy: Policy, trail: list[RuleHit]) -> Code | None:
    """The offer's price: a declared tier, at a rate the tier allows."""
    tier = policy.price_tiers.get(entry.price_tier)
    fits = tier is not None and tier.apr_min_bps <= entry.apr_bps <= tier.apr_max_bps
    if fits:
        return None
    values: Values = {"price_tier": entry.price_tier, "apr_bps": entry.apr_bps}
    trail.append(RuleHit("price", "refer", values))
    return Code.OFFER_NOT_VALID


def _breaker(amount_fen: int, window: BreakerWindow, trail: list[RuleHit]) -> Code | None:
    """Stop approving a segment when this approval would pass its window's count or amount."""
    if (
        window.approvals + 1 <= window.approvals_max
        and window.amount_fen + amount_fen <= window.amount_max_fen
    ):
        return None
    values: Values = {
        "approved_count": window.approvals,
        "approvals_max": window.approvals_max,
        "approved_fen": window.amount_fen,
        "amount_max_fen": window.amount_max_fen,
    }
    trail.append(RuleHit("breaker", "refer", values))
    return Code.BREAKER
