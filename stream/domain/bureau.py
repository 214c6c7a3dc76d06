"""The credit-bureau view of one person, as `bureau.features` carries it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from stream.domain.application import Code, Count, Fen, Id, Instant, Token


class BureauStatus(StrEnum):
    """How good the view is; `stale` and `unauthorised` are also concluded by the engine."""

    HIT = "hit"
    NO_HIT = "no_hit"
    THIN_FILE = "thin_file"
    STALE = "stale"
    UNAUTHORISED = "unauthorised"


class BureauFeatures(Struct, frozen=True, gc=False, omit_defaults=True):
    """Counts over the stated months; absent means the bureau does not know, never zero."""

    applicant_token: Token
    status: BureauStatus
    as_of: Instant
    authorization_id: Id
    scope: Code
    delinquencies_24m: Count | None = None
    accounts_past_due: Count | None = None
    days_past_due_max_24m: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    collections_12m: Count | None = None
    inquiries_12m: Count | None = None
    utilisation_pct: Annotated[float, Meta(ge=0, le=1_000)] | None = None
    open_installment_count: Count | None = None
    total_accounts: Count | None = None
    public_records: Count | None = None
    outstanding_fen: Fen | None = None
    monthly_debt_fen: Fen | None = None
