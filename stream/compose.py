"""From a verdict to the records that leave: the decision and its audit record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stream import __version__
from stream.codec.keys import decision_id
from stream.domain.decision import (
    Audit,
    Contribution,
    Decision,
    ModelUsed,
    Outcome,
    PolicyUsed,
    ReasonGiven,
    Referral,
    RuleHit,
)
from stream.domain.instant import from_ms
from stream.domain.reasons import REASONS, ReasonCode
from stream.policy.model import Policy
from stream.policy.rules import Case, Score, Verdict
from stream.scoring.manifest import Manifest
from stream.scoring.scorecard import (
    adverse_families,
    contributions,
    to_pd,
    to_points,
)


class Scored(NamedTuple):
    """A score with what it came from."""

    score: Score
    log_odds: float
    contributions: tuple[Contribution, ...]
    manifest: Manifest

    @classmethod
    def of(cls, outputs: Sequence[float], log_odds: float, manifest: Manifest) -> Scored:
        """Points, pd and ranked families of one row of model outputs."""
        given = contributions(outputs, manifest)
        families = [(each.family, each.centred) for each in adverse_families(given)]
        score = Score(to_points(log_odds, manifest.scaling), to_pd(log_odds), families)
        return cls(score, log_odds, given, manifest)


def compose_decision(
    case: Case,
    verdict: Verdict,
    scored: Scored | None,
    policy: Policy,
    sha256: str,
    exposure_fen: int,
) -> Decision:
    """The decision record of one verdict; `exposure_fen` is what was promised before it."""
    app, entry = case.app, case.entry
    manifest = scored.manifest if scored else None
    approved = verdict.outcome is Outcome.APPROVE
    return Decision(
        decision_id=decision_id(app.application_id),
        application_id=app.application_id,
        applicant_token=app.applicant_token,
        channel=app.channel,
        segment=app.segment,
        product_code=app.product_code,
        outcome=verdict.outcome,
        requested_amount_fen=app.requested_amount_fen,
        approved_amount_fen=verdict.approved_amount_fen,
        counter_offer=verdict.counter_offer,
        term_months=app.term_months,
        price_tier=verdict.price_tier,
        apr_bps=verdict.apr_bps,
        offer_id=entry.offer_id if entry else None,
        offer_expires_at=entry.valid_to if entry and approved else None,
        reasons=tuple(_reason(rank, code) for rank, code in enumerate(verdict.reasons, 1)),
        referral=None if approved else _referral(verdict, case.now_ms),
        score_points=scored.score.points if scored else None,
        pd=scored.score.pd if scored else None,
        band=verdict.band,
        model=ModelUsed(manifest.model_id, manifest.version, manifest.onnx_sha256)
        if manifest
        else None,
        policy=PolicyUsed(policy.policy_id, policy.sha256),
        list_version=entry.list_version if entry else None,
        exposure_before_fen=exposure_fen,
        exposure_after_fen=exposure_fen + verdict.approved_amount_fen,
        application_sha256=sha256,
        submitted_at=app.submitted_at,
        decided_at=from_ms(case.now_ms),
        deadline_met=case.now_ms <= case.decide_by_ms,
        synthetic=app.synthetic,
    )


def compose_audit(
    decision: Decision,
    case: Case,
    trail: Sequence[RuleHit],
    features: Sequence[float],
    scored: Scored | None,
    source: tuple[int, int, int],
) -> Audit:
    """The full inputs of a decision; `source` is partition, offset and store age in seconds."""
    partition, offset, store_age_seconds = source
    names = scored.manifest.feature_names if scored else ()
    return Audit(
        decision=decision,
        rules=tuple(trail),
        features=dict(zip(names, features, strict=False)),
        contributions=scored.contributions if scored else (),
        log_odds=scored.log_odds if scored else None,
        application=case.app,
        whitelist_entry=case.entry,
        bureau=case.bureau,
        store_age_seconds=store_age_seconds,
        source_partition=partition,
        source_offset=offset,
        engine_version=__version__,
    )


def _reason(rank: int, code: ReasonCode) -> ReasonGiven:
    reason = REASONS[code]
    return ReasonGiven(
        rank, code.value, reason.family, reason.text_en, reason.text_zh, reason.form_c1
    )


def _referral(verdict: Verdict, now_ms: int) -> Referral:
    if verdict.queue is None or verdict.trigger is None:
        raise AssertionError("a referral names its queue and its trigger")
    due_at = from_ms(now_ms + verdict.due_ms)
    return Referral(verdict.queue, verdict.trigger.value, verdict.overridable, due_at)
