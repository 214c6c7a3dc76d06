"""A reviewer's answer to a referral, as it arrives on `loan.referral-outcomes`."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from stream.domain.application import Fen, Id, Instant, Token


class Answer(StrEnum):
    """What the reviewer says."""

    APPROVE = "approve"
    DECLINE = "decline"


class ReferralOutcome(Struct, frozen=True, gc=False, omit_defaults=True):
    """One answer; `decision_id` is the referral's, `approved_amount_fen` 0 on a decline."""

    review_id: Id
    decision_id: Id
    application_id: Id
    applicant_token: Token
    answer: Answer
    approved_amount_fen: Fen
    reviewer_id: Id
    answered_at: Instant
