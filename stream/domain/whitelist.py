"""A standing pre-approval, as `whitelist.entries` carries it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from stream.domain.application import Code, Fen, Id, Instant, Segment, Token


class Conclusion(StrEnum):
    """What the screening said of the customer."""

    PREAPPROVED = "preapproved"
    SUSPENDED = "suspended"


class WhitelistEntry(Struct, frozen=True, gc=False):
    """One offer: limit in fen, price in basis points a year, valid from (incl.) to (excl.)."""

    applicant_token: Token
    offer_id: Id
    segment: Segment
    conclusion: Conclusion
    limit_fen: Fen
    price_tier: Code
    apr_bps: Annotated[int, Meta(ge=0, le=10_000)]
    risk_grade: Code
    list_version: Annotated[int, Meta(ge=1)]
    valid_from: Instant
    valid_to: Instant
