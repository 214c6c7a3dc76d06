"""Made-up applications, decisions and outcomes that belong together by number."""

from __future__ import annotations

from stream.codec.keys import decision_id
from stream.domain.application import Application, Authorization, Channel, Declared, Segment
from stream.domain.decision import Decision, Outcome, PolicyUsed
from stream.domain.outcome import LoanOutcome, OutcomeEvent

AT = "2026-11-24T08:00:00.000Z"


def token(number: int) -> str:
    return f"a1_{number:032x}"


def application_of(number: int) -> Application:
    authorization = Authorization("authorization-1", "credit", AT, "2027-11-24T08:00:00Z", True)
    return Application(
        application_id=f"application-{number}", applicant_token=token(number), channel=Channel.H5,
        segment=Segment.MERCHANT, product_code="merchant_line", requested_amount_fen=100,
        currency="CNY", term_months=12, loan_purpose="stock", submitted_at=AT,
        authorization=authorization, declared=Declared(),
    )  # fmt: skip


def decision_of(number: int, outcome: Outcome = Outcome.APPROVE) -> Decision:
    return Decision(
        decision_id=decision_id(token(number), f"application-{number}"),
        application_id=f"application-{number}",
        applicant_token=token(number), channel=Channel.H5, segment=Segment.MERCHANT,
        product_code="merchant_line", outcome=outcome, requested_amount_fen=100,
        approved_amount_fen=100, counter_offer=False, term_months=12, price_tier=None, apr_bps=None,
        offer_id=None, offer_expires_at=None, reasons=(), referral=None, score_points=None, pd=None,
        band=None, model=None, policy=PolicyUsed("p", "0"), list_version=None,
        exposure_before_fen=0, exposure_after_fen=0, application_sha256="0", submitted_at=AT,
        decided_at=AT, deadline_met=True, synthetic=True, consent_signed_at=AT,
        consent_expires_at=AT,
    )  # fmt: skip


def outcome_of(decision: Decision, at: str) -> LoanOutcome:
    return LoanOutcome(
        outcome_id=f"outcome-{decision.application_id}", event=OutcomeEvent.DISBURSED,
        application_id=decision.application_id, decision_id=decision.decision_id,
        applicant_token=decision.applicant_token, channel=decision.channel,
        segment=decision.segment, amount_fen=100, occurred_at=at,
    )  # fmt: skip
