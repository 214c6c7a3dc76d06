"""What a channel or the disbursement system says about an application after it was sent."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from stream.domain.application import Id, Instant, Token


class EventKind(StrEnum):
    """What happened.

    `cancel` before the decision forces a referral. After an approval, `cancel`
    and `expiry` release what was promised, so whoever publishes them must have
    stopped the payment first. `consent_revoked` is of the person: no machine
    decides on an authorisation signed before it. `human_review_request` is of
    one application: a person decides it. An application is the one of that id
    of the event's own person; of anybody else's, nothing changes.
    """

    CANCEL = "cancel"
    EXPIRY = "expiry"
    CONSENT_REVOKED = "consent_revoked"
    HUMAN_REVIEW_REQUEST = "human_review_request"


class ApplicationEvent(Struct, frozen=True, gc=False, omit_defaults=True):
    """One event; repeating it changes nothing. Only `consent_revoked` may lack an application."""

    event_id: Id
    kind: EventKind
    applicant_token: Token
    occurred_at: Instant
    application_id: Id | None = None
