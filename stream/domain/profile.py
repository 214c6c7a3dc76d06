"""What head office knows of one customer, as `customer.profiles` carries it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from stream.domain.application import Code, Count, Fen, Instant, Segment, Token

UNKNOWN_PCT = -1.0
"""The one object that is left out when a profile is encoded, as -1 is among whole numbers."""


class CustomerProfile(Struct, frozen=True, gc=False, omit_defaults=True):
    """One customer; an absent figure is unknown, which is -1 here and cannot be sent."""

    applicant_token: Token
    segment: Segment
    as_of: Instant
    screening_consent: bool
    on_hold: bool = False
    annual_income_fen: Fen = -1
    employment_years: Annotated[int, Meta(ge=0, le=80)] = -1
    business_is_new: bool | None = None
    sector: Code | None = None
    delinquencies_24m: Count = -1
    accounts_past_due: Count = -1
    days_past_due_max_24m: Annotated[int, Meta(ge=0, le=10_000)] = -1
    collections_12m: Count = -1
    public_records: Count = -1
    inquiries_12m: Count = -1
    utilisation_pct: Annotated[float, Meta(ge=0, le=1_000)] = UNKNOWN_PCT
    open_installment_count: Count = -1
