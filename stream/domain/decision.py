"""The answer: what goes out on `disbursement.decisions` and `decision.audit`."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from stream.domain.application import Application, Channel, Segment
from stream.domain.bureau import BureauFeatures
from stream.domain.lineup import Alias
from stream.domain.review import ReferralOutcome
from stream.domain.whitelist import WhitelistEntry


class Outcome(StrEnum):
    """The engine's only two answers; what it cannot approve goes to a person."""

    APPROVE = "approve"
    REFER = "refer"


class ReasonGiven(Struct, frozen=True, gc=False):
    """One ranked reason; rank 1 weighs most."""

    rank: int
    code: str
    family: str
    text_en: str
    text_zh: str
    form_c1: int


class Referral(Struct, frozen=True, gc=False):
    """Where a referred case waits, since which rule, and whether a reviewer may override it."""

    queue: str
    trigger: str
    overridable: bool
    due_at: str


class ModelUsed(Struct, frozen=True, gc=False, omit_defaults=True):
    """The scorecard of a score; `sha256` is its manifest's, `arm` is absent for the champion."""

    model_id: str
    version: str
    sha256: str
    arm: Alias = Alias.CHAMPION


class PolicyUsed(Struct, frozen=True, gc=False):
    """The policy a decision came from."""

    policy_id: str
    sha256: str


class ReviewGiven(Struct, frozen=True, gc=False):
    """The reviewer's answer that a second-stage decision settles."""

    review_id: str
    reviewer_id: str
    answer: str
    answered_at: str


class Decision(Struct, frozen=True, gc=False):
    """One decision; nulls mean the path ended before the value was known.

    `stage` 1 answers the application, `stage` 2 the reviewer of a stage 1 referral.
    """

    decision_id: str
    application_id: str
    applicant_token: str
    channel: Channel
    segment: Segment
    product_code: str
    outcome: Outcome
    requested_amount_fen: int
    approved_amount_fen: int
    counter_offer: bool
    term_months: int
    price_tier: str | None
    apr_bps: int | None
    offer_id: str | None
    offer_expires_at: str | None
    reasons: tuple[ReasonGiven, ...]
    referral: Referral | None
    score_points: int | None
    pd: float | None
    band: str | None
    model: ModelUsed | None
    policy: PolicyUsed
    list_version: int | None
    exposure_before_fen: int
    exposure_after_fen: int
    application_sha256: str
    submitted_at: str
    decided_at: str
    deadline_met: bool
    synthetic: bool
    consent_signed_at: str
    consent_expires_at: str
    stage: int = 1
    review: ReviewGiven | None = None


class RuleHit(Struct, frozen=True, gc=False):
    """One rule as it was applied: `pass`, `refer`, `limit` or `skip`, with the values it saw."""

    rule: str
    result: str
    values: dict[str, int | float | str | bool | None]


class Contribution(Struct, frozen=True, gc=False):
    """One family's share of the log-odds of bad, and the same less the approved population's."""

    family: str
    log_odds: float
    centred: float


class ModelInForce(Struct, frozen=True, gc=False, omit_defaults=True):
    """A version of the segment's model in its place, by its manifest's hash.

    Share and salt are a challenger's.
    """

    alias: str
    version: str
    sha256: str
    share_bps: int = 0
    salt: str = ""


class ShadowScore(Struct, frozen=True, gc=False):
    """What a model, by its manifest's hash, said that did not decide; nulls where it could not.

    No rule takes one: a policy asks for a `Score`, and this is none.
    """

    alias: str
    version: str
    sha256: str
    score_points: int | None
    pd: float | None
    log_odds: float | None


class Standing(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a decision followed from beside the records: ledger, switches and breaker then."""

    partitions: int
    store_age_ms: int
    exposure_fen: int = 0
    approved_count: int = 0
    approved_fen: int = 0
    approvals_max: int = 0
    amount_max_fen: int = 0
    cancelled: bool = False
    human_asked: bool = False
    revoked_at_ms: int | None = None
    stopped_by: str | None = None
    raised_points: int = 0
    tightened_by: str | None = None
    limited_by: str | None = None
    """The command that set the breaker's limits; None where the policy did."""
    control_version: int = -1
    arm: Alias = Alias.CHAMPION
    models: tuple[ModelInForce, ...] = ()
    """Who stood where for the segment; empty where the engine has no say in it."""


class Audit(Struct, frozen=True, gc=False, omit_defaults=True):
    """Everything a decision followed from, on `decision.audit`."""

    decision: Decision
    rules: tuple[RuleHit, ...]
    features: dict[str, float]
    contributions: tuple[Contribution, ...]
    log_odds: float | None
    application: Application | None
    """None at stage 2, where `referral_outcome` is what was answered."""
    referral_outcome: ReferralOutcome | None
    whitelist_entry: WhitelistEntry | None
    bureau: BureauFeatures | None
    standing: Standing
    source_partition: int
    source_offset: int
    engine_version: str
    shadows: tuple[ShadowScore, ...] = ()
    """What the models said that did not decide."""


class DeadLetterAudit(Struct, frozen=True, gc=False):
    """What the audit keeps of a dead letter: why and where, and the hash of its bytes."""

    reason: str
    field: str
    source_topic: str
    source_partition: int
    source_offset: int
    sha256: str
    size_bytes: int
    occurred_at: str
    engine_version: str
