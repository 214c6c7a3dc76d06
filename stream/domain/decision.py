"""The answer: what goes out on `disbursement.decisions` and `decision.audit`."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from stream.domain.application import Application, Channel, Segment
from stream.domain.bureau import BureauFeatures
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


class ModelUsed(Struct, frozen=True, gc=False):
    """The scorecard a score came from."""

    model_id: str
    version: str
    sha256: str


class PolicyUsed(Struct, frozen=True, gc=False):
    """The policy a decision came from."""

    policy_id: str
    sha256: str


class Decision(Struct, frozen=True, gc=False):
    """One decision; nulls mean the path ended before the value was known."""

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


class Audit(Struct, frozen=True, gc=False):
    """Everything a decision followed from, on `decision.audit`."""

    decision: Decision
    rules: tuple[RuleHit, ...]
    features: dict[str, float]
    contributions: tuple[Contribution, ...]
    log_odds: float | None
    application: Application
    whitelist_entry: WhitelistEntry | None
    bureau: BureauFeatures | None
    store_age_seconds: int
    source_partition: int
    source_offset: int
    engine_version: str
