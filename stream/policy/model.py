"""The policy as data: first as the file says it, then as the rules read it.

`PolicyFile` and its parts are `policy.toml`, key for key; an unknown key is
refused. `Policy` is the same content laid out for look-ups, built once at load.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from stream.domain.application import Channel, Code, Segment
from stream.domain.bureau import BureauStatus
from stream.domain.reasons import ReasonCode

Amount = Annotated[int, Meta(ge=1, le=10_000_000_000_000)]
Positive = Annotated[int, Meta(ge=1, le=10_000_000_000)]
Points = Annotated[int, Meta(ge=-10_000, le=10_000)]
Bps = Annotated[int, Meta(ge=0, le=10_000)]
Months = Annotated[int, Meta(ge=1, le=480)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Value = int | float | bool | None


class Unknown(StrEnum):
    """What to do when income or debts are not known."""

    REFER = "refer"
    RELY_ON_OFFER = "rely_on_offer"


class Missing(StrEnum):
    """What a knock-out does when its feature is absent."""

    PASS = "pass"  # noqa: S105  (an answer, not a password)
    REFER = "refer"


class Op(StrEnum):
    """How a knock-out compares; true means the case is referred."""

    AT_LEAST = ">="
    ABOVE = ">"
    AT_MOST = "<="
    BELOW = "<"
    EQUAL = "=="


class _Part(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the file: frozen, and strict about its keys."""


class Halt(_Part, frozen=True):
    """The kill switch: whatever is named here is referred, never approved."""

    everything: bool = False
    segments: frozenset[Segment] = frozenset()
    channels: frozenset[Channel] = frozenset()
    models: frozenset[str] = frozenset()


class Bureau(_Part, frozen=True):
    """How old a bureau report may be, and which permissions cover its use."""

    age_max_days: Annotated[int, Meta(ge=1, le=365)]
    scopes: frozenset[Code]


class Breaker(_Part, frozen=True):
    """The window over which approvals of a segment are counted."""

    window_ms: Positive


class Guard(_Part, frozen=True):
    """When the watch on outcomes tightens a segment; without the part in the file, these values."""

    budget_bps: Annotated[int, Meta(ge=1, le=10_000)] = 50
    tighten_at_pct: Annotated[int, Meta(ge=1, le=1_000)] = 60
    refer_at_pct: Annotated[int, Meta(ge=1, le=1_000)] = 100
    ease_pct: Annotated[int, Meta(ge=1, le=1_000)] = 20
    raise_points: Annotated[int, Meta(ge=1, le=1_000)] = 20
    bad_loans_min: Annotated[int, Meta(ge=1, le=1_000)] = 3
    window_months: Annotated[int, Meta(ge=1, le=120)] = 12
    mature_months: Annotated[int, Meta(ge=1, le=120)] = 12


class Product(_Part, frozen=True):
    """One product: to whom, how much, how long; `segment_caps_fen` lowers the cap for some."""

    segments: frozenset[Segment]
    amount_min_fen: Amount
    amount_max_fen: Amount
    term_min_months: Months
    term_max_months: Months
    segment_caps_fen: dict[Segment, Amount] = {}


class PriceTier(_Part, frozen=True):
    """The yearly rates that a price tier of an offer may carry."""

    apr_min_bps: Bps
    apr_max_bps: Bps


class Band(_Part, frozen=True):
    """Score points, both ends included, and the most a case in the band may get."""

    name: Name
    points_from: Points
    points_to: Points
    limit_fen: Amount


class SegmentPolicy(_Part, frozen=True):
    """What holds for one segment."""

    model: Name
    cut_off_points: Points
    points_min: Points
    points_max: Points
    exposure_cap_fen: Amount
    bureau_accepted: frozenset[BureauStatus]
    bureau_may_be_missing: bool
    debt_share_max_bps: Annotated[int, Meta(ge=1, le=10_000)]
    income_unknown: Unknown
    breaker_approvals_max: Positive
    breaker_amount_max_fen: Amount
    bands: tuple[Band, ...]


class KnockOut(_Part, frozen=True):
    """A rule that settles the outcome whatever the score; no `segments` means all."""

    id: Code
    feature: str
    op: Op
    value: int | float
    reason: ReasonCode
    overridable: bool
    when_missing: Missing
    segments: frozenset[Segment] = frozenset(Segment)


class Queue(_Part, frozen=True):
    """Where some reason families wait, how long, and whether a reviewer may override."""

    families: frozenset[str]
    due_hours: Annotated[int, Meta(ge=1, le=720)]
    overridable: bool


class PolicyFile(_Part, frozen=True):
    """`policy.toml`, key for key."""

    policy_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{2,63}\Z")]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    amount_step_fen: Amount
    store_age_max_ms: Positive
    barred_purposes: frozenset[Code]
    never_overridable: frozenset[ReasonCode]
    halt: Halt
    bureau: Bureau
    breaker: Breaker
    products: dict[str, Product]
    price_tiers: dict[str, PriceTier]
    segments: dict[Segment, SegmentPolicy]
    knock_out: tuple[KnockOut, ...]
    queues: dict[str, Queue]
    guard: Guard = Guard()


class Terms(Struct, frozen=True):
    """What one product allows one segment."""

    amount_min_fen: int
    amount_max_fen: int
    term_min_months: int
    term_max_months: int


class Route(Struct, frozen=True):
    """Where a referral for one reason goes."""

    queue: str
    overridable: bool
    due_ms: int


KnockOutRule = tuple[
    bool,
    Callable[[object], Value],
    Callable[[Value, int | float], bool],
    int | float,
    bool,
    str,
    KnockOut,
]
"""A knock-out made ready: of the bureau or declared, reader, comparison, edge, refers when
missing, feature, source. A plain tuple, as those are unpacked three times as fast."""


class Policy(Struct, frozen=True):
    """The policy as the rules read it; `sha256` is that of the file's bytes."""

    policy_id: str
    sha256: str
    currency: str
    amount_step_fen: int
    store_age_max_ms: int
    bureau_age_max_ms: int
    bureau_scopes: frozenset[str]
    barred_purposes: frozenset[str]
    halt: Halt
    breaker: Breaker
    terms: dict[tuple[str, Segment], Terms]
    price_tiers: dict[str, PriceTier]
    segments: dict[Segment, SegmentPolicy]
    knock_outs: dict[Segment, tuple[KnockOutRule, ...]]
    routes: dict[ReasonCode, Route]
    guard: Guard = Guard()

    @property
    def models(self) -> list[str]:
        """The models that decide a segment, each once, in order of name."""
        return sorted({segment.model for segment in self.segments.values()})
