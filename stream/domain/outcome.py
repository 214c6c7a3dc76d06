"""What core banking reports on `loan.outcomes` after a decision."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from stream.domain.application import Channel, Fen, Id, Instant, Segment, Token
from stream.domain.instant import from_ms


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


class Decided(Protocol):
    """What an outcome takes over from its decision; a `Decision` is one."""

    @property
    def decision_id(self) -> str: ...  # noqa: D102
    @property
    def application_id(self) -> str: ...  # noqa: D102
    @property
    def applicant_token(self) -> str: ...  # noqa: D102
    @property
    def channel(self) -> Channel: ...  # noqa: D102
    @property
    def segment(self) -> Segment: ...  # noqa: D102
    @property
    def approved_amount_fen(self) -> int: ...  # noqa: D102


def outcome_of(
    decision: Decided, event: OutcomeEvent, now_ms: int, *, loss_fen: int | None = None
) -> LoanOutcome:
    """The outcome that reports `event` of an approved loan.

    Its id follows from decision and event, so reporting the same event again is a repeat.
    """
    digest = hashlib.sha256(f"{event.value}/1/{decision.decision_id}".encode()).hexdigest()
    return LoanOutcome(
        outcome_id=f"o_{digest[:32]}",
        event=event,
        application_id=decision.application_id,
        decision_id=decision.decision_id,
        applicant_token=decision.applicant_token,
        channel=decision.channel,
        segment=decision.segment,
        amount_fen=decision.approved_amount_fen,
        occurred_at=from_ms(now_ms),
        loss_fen=loss_fen,
    )
