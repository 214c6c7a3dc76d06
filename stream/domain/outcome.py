"""What core banking reports on `loan.outcomes` after a decision."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from stream.domain.application import Channel, Fen, Id, Instant, Segment, Token


class OutcomeEvent(StrEnum):
    """What happened to a loan."""

    DISBURSED = "disbursed"
    REPAID = "repaid"
    PAST_DUE = "past_due"
    DEFAULT = "default"


class LoanOutcome(Struct, frozen=True, gc=False, omit_defaults=True):
    """One event in a loan's life; `outcome_id` is unique, so a repeat changes nothing."""

    outcome_id: Id
    event: OutcomeEvent
    application_id: Id
    decision_id: Id
    applicant_token: Token
    channel: Channel
    segment: Segment
    amount_fen: Fen
    occurred_at: Instant
    days_past_due: int | None = None
    loss_fen: Fen | None = None
