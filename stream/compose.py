"""From a verdict to the records that leave: the decision and its audit record."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import starmap
from typing import NamedTuple, Protocol, cast

from msgspec import Raw

from stream import __version__
from stream.codec.keys import decision_id
from stream.domain.application import Application
from stream.domain.decision import (
    Audit,
    Contribution,
    Decision,
    ModelInForce,
    ModelUsed,
    Outcome,
    PolicyUsed,
    ReasonGiven,
    Referral,
    ReviewGiven,
    RuleHit,
    ShadowScore,
    Standing,
)
from stream.domain.instant import from_ms, to_ms
from stream.domain.lineup import Alias
from stream.domain.reasons import REASONS, ReasonCode
from stream.limits import DECIDE_WITHIN_MS
from stream.policy.model import Policy
from stream.policy.rules import BreakerWindow, Case, Families, Score, Verdict
from stream.policy.second_stage import ReviewCase
from stream.ports import FloatMatrix, Record
from stream.scoring.manifest import Manifest
from stream.scoring.scorecard import all_points, centred, log_odds_of_bad, to_pd


class Release(Protocol):
    """What a score says of the model it came from."""

    @property
    def manifest(self) -> Manifest:
        """The model's description."""
        ...

    @property
    def manifest_sha256(self) -> str:
        """Its hash."""
        ...


class Scored(NamedTuple):
    """A score with what it came from: `sha256` is the manifest's.

    `outputs` are the model's, of each family and the base.
    """

    score: Score
    log_odds: float
    outputs: Sequence[float]
    manifest: Manifest
    sha256: str
    names: tuple[str, ...]
    arm: Alias = Alias.CHAMPION

    @classmethod
    def all_of(
        cls, outputs: FloatMatrix, scorer: Release, arm: Alias = Alias.CHAMPION
    ) -> list[Scored]:
        """Points and pd of each row of model outputs."""
        manifest, sha256 = scorer.manifest, scorer.manifest_sha256
        names = manifest.feature_names
        families = Families(manifest.outputs[:-1], centred(outputs, manifest).tolist())
        totals = log_odds_of_bad(outputs)
        columns = (totals.tolist(), all_points(totals, manifest.scaling), outputs.tolist())
        return [
            cls(
                Score(points, to_pd(total), families, row),
                total,
                parts,
                manifest,
                sha256,
                names,
                arm,
            )
            for row, (total, points, parts) in enumerate(zip(*columns, strict=True))
        ]

    @property
    def contributions(self) -> tuple[Contribution, ...]:
        """Each family's share of the log-odds, as the audit keeps it."""
        codes, centred = self.score.families
        each = zip(codes, self.outputs, centred[self.score.row], strict=False)
        return tuple(starmap(Contribution, each))


class Given(Protocol):
    """The part of a row that the audit keeps."""

    trail: list[RuleHit]
    features: list[float]
    arm: Alias
    scored: Scored | None
    watched: list[ShadowScore]


class Moment(NamedTuple):
    """Where a record came from and what stood beside it, for the audit."""

    record: Record
    window: BreakerWindow
    control_version: int
    partitions: int
    models: tuple[ModelInForce, ...] = ()


def compose_decision(
    case: Case, verdict: Verdict, scored: Scored | None, policy: Policy, sha256: str
) -> Decision:
    """The decision record of one verdict on an application."""
    app, entry = case.app, case.entry
    approved = verdict.outcome is Outcome.APPROVE
    # By position, in the order of the record: by name it costs twice as much.
    return Decision(
        decision_id(app.applicant_token, app.application_id),
        app.application_id,
        app.applicant_token,
        app.channel,
        app.segment,
        app.product_code,
        verdict.outcome,
        app.requested_amount_fen,
        verdict.approved_amount_fen,
        verdict.counter_offer,
        app.term_months,
        verdict.price_tier,
        verdict.apr_bps,
        entry.offer_id if entry else None,
        entry.valid_to if entry and approved else None,
        _reasons(verdict.reasons),
        None if approved else _referral(verdict, case.now_ms),
        scored.score.points if scored else None,
        scored.score.pd if scored else None,
        verdict.band,
        _model_used(scored),
        _policy_used(policy.policy_id, policy.sha256),
        entry.list_version if entry else None,
        case.exposure_fen,
        case.exposure_fen + verdict.approved_amount_fen,
        sha256,
        app.submitted_at,
        from_ms(case.now_ms),
        case.now_ms <= case.decide_by_ms,
        app.synthetic,
        app.authorization.signed_at,
        app.authorization.expires_at,
    )


def compose_review_decision(case: ReviewCase, verdict: Verdict, policy: Policy) -> Decision:
    """The second-stage decision on a reviewer's answer."""
    answer, referred, entry = case.answer, case.referred, case.entry
    approved = verdict.outcome is Outcome.APPROVE
    return Decision(
        decision_id=decision_id(answer.applicant_token, answer.application_id, stage=2),
        application_id=answer.application_id,
        applicant_token=answer.applicant_token,
        channel=referred.channel,
        segment=referred.segment,
        product_code=referred.product_code,
        outcome=verdict.outcome,
        requested_amount_fen=referred.requested_amount_fen,
        approved_amount_fen=verdict.approved_amount_fen,
        counter_offer=verdict.counter_offer,
        term_months=referred.term_months,
        price_tier=verdict.price_tier,
        apr_bps=verdict.apr_bps,
        offer_id=entry.offer_id if entry else None,
        offer_expires_at=entry.valid_to if entry and approved else None,
        reasons=_reasons(verdict.reasons),
        referral=None if approved else _referral(verdict, case.now_ms),
        score_points=None,
        pd=None,
        band=None,
        model=None,
        policy=_policy_used(policy.policy_id, policy.sha256),
        list_version=entry.list_version if entry else None,
        exposure_before_fen=case.exposure_fen,
        exposure_after_fen=case.exposure_fen + verdict.approved_amount_fen,
        application_sha256=referred.application_sha256,
        submitted_at=referred.submitted_at,
        decided_at=from_ms(case.now_ms),
        deadline_met=case.now_ms <= to_ms(referred.submitted_at) + DECIDE_WITHIN_MS,
        synthetic=referred.synthetic,
        consent_signed_at=referred.consent_signed_at,
        consent_expires_at=referred.consent_expires_at,
        stage=2,
        review=ReviewGiven(
            answer.review_id, answer.reviewer_id, answer.answer.value, answer.answered_at
        ),
    )


def compose_audit(
    decision: Decision | Raw, app: Application | Raw, case: Case, given: Given, moment: Moment
) -> Audit:
    """The full inputs of a first-stage decision.

    Decision and application may be given as the bytes they are encoded to, which are then copied
    as they are: such an audit is there to be encoded and nothing else.
    """
    scored, window = given.scored, moment.window
    names = scored.names if scored else ()
    raised = case.raised
    standing = Standing(
        moment.partitions,
        case.store_age_ms,
        case.exposure_fen,
        window.approvals,
        window.amount_fen,
        window.approvals_max,
        window.amount_max_fen,
        case.cancelled,
        case.human_asked,
        case.revoked_at_ms,
        case.stopped_by,
        raised.points if raised else 0,
        raised.command_id if raised else None,
        window.limited_by,
        moment.control_version,
        given.arm,
        moment.models,
    )
    return Audit(
        cast("Decision", decision),
        tuple(given.trail),
        dict(zip(names, given.features, strict=False)),
        scored.contributions if scored else (),
        scored.log_odds if scored else None,
        cast("Application", app),
        None,
        case.entry,
        case.bureau,
        standing,
        moment.record.partition,
        moment.record.offset,
        __version__,
        tuple(given.watched),
    )


def compose_review_audit(
    decision: Decision, case: ReviewCase, trail: Sequence[RuleHit], moment: Moment
) -> Audit:
    """The full inputs of a second-stage decision."""
    return Audit(
        decision=decision,
        rules=tuple(trail),
        features={},
        contributions=(),
        log_odds=None,
        application=None,
        referral_outcome=case.answer,
        whitelist_entry=case.entry,
        bureau=None,
        standing=Standing(
            partitions=moment.partitions,
            store_age_ms=case.store_age_ms,
            exposure_fen=case.exposure_fen,
            cancelled=case.cancelled,
            revoked_at_ms=case.revoked_at_ms,
            control_version=moment.control_version,
        ),
        source_partition=moment.record.partition,
        source_offset=moment.record.offset,
        engine_version=__version__,
    )


def _model_used(scored: Scored | None) -> ModelUsed | None:
    if scored is None:
        return None
    manifest = scored.manifest
    return _used(manifest.model_id, manifest.version, scored.sha256, scored.arm)


# What few cases differ in is made once: frozen records may be shared.
_used = lru_cache(maxsize=256)(ModelUsed)
_policy_used = lru_cache(maxsize=256)(PolicyUsed)
_referred = lru_cache(maxsize=4_096)(Referral)


@lru_cache(maxsize=4_096)
def _reasons(codes: tuple[ReasonCode, ...]) -> tuple[ReasonGiven, ...]:
    return tuple(_reason(rank, code) for rank, code in enumerate(codes, 1))


def _reason(rank: int, code: ReasonCode) -> ReasonGiven:
    reason = REASONS[code]
    return ReasonGiven(
        rank, code.value, reason.family, reason.text_en, reason.text_zh, reason.form_c1
    )


def _referral(verdict: Verdict, now_ms: int) -> Referral:
    if verdict.queue is None or verdict.trigger is None:
        raise AssertionError("a referral names its queue and its trigger")
    due_at = from_ms(now_ms + verdict.due_ms)
    return _referred(verdict.queue, verdict.trigger.value, verdict.overridable, due_at)
