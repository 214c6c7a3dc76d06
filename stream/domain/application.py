"""What a channel publishes on `loan.applications`, as the engine holds it.

The records are msgspec structs because the decoder then checks every type and
bound while it parses, at half the cost of a parse and a check; names and
meaning are the wire's, so the schema test can compare the two.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

Token = Annotated[str, Meta(pattern=r"^a[1-9][0-9]?_[0-9a-f]{32}\Z")]
"""An applicant token: key version, then 16 bytes of HMAC-SHA-256 in hex. Never the id itself."""
Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{7,63}\Z")]
"""An identifier a channel or the bank chose: 8 to 64 plain ASCII characters."""
Code = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_]{0,39}\Z")]
Instant = Annotated[str, Meta(min_length=20, max_length=32)]
Fen = Annotated[int, Meta(ge=0, le=10_000_000_000_000)]
"""Money in fen (1/100 yuan); the bound, 100 billion yuan, catches a wrong unit."""
Count = Annotated[int, Meta(ge=0, le=1_000_000)]


class Channel(StrEnum):
    """Where an application comes from."""

    MOBILE_BANK = "mobile_bank"
    WECHAT_BANK = "wechat_bank"
    H5 = "h5"
    CUSTOMER_MANAGER = "customer_manager"


class Segment(StrEnum):
    """The kind of customer; each has its own model and policy."""

    FARMER = "farmer"
    MERCHANT = "merchant"
    CONSUMER = "consumer"


class Authorization(Struct, frozen=True, gc=False):
    """The applicant's permission to query the bureau and to decide by machine."""

    authorization_id: Id
    scope: Code
    signed_at: Instant
    expires_at: Instant
    automated_decision: bool


class Declared(Struct, frozen=True, gc=False, omit_defaults=True):
    """What the applicant says of themselves; absent means not asked, never zero."""

    annual_income_fen: Fen | None = None
    monthly_debt_fen: Fen | None = None
    employment_years: Annotated[int, Meta(ge=0, le=80)] | None = None
    income_verified: bool | None = None
    business_is_new: bool | None = None
    is_credit_line: bool | None = None
    simplified_file: bool | None = None
    sector: Code | None = None
    employee_count: Count | None = None


class Application(Struct, frozen=True, gc=False, omit_defaults=True):
    """One valid application; `decide_by` is ten minutes after `submitted_at` unless set."""

    application_id: Id
    applicant_token: Token
    channel: Channel
    segment: Segment
    product_code: Code
    requested_amount_fen: Annotated[int, Meta(ge=1, le=10_000_000_000_000)]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    term_months: Annotated[int, Meta(ge=1, le=480)]
    loan_purpose: Code
    submitted_at: Instant
    authorization: Authorization
    declared: Declared
    region_code: Code | None = None
    offer_id: Id | None = None
    decide_by: Instant | None = None
    synthetic: bool = False
