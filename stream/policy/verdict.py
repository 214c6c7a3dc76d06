"""What the rules are given and what they answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from stream.domain.application import Application
from stream.domain.bureau import BureauFeatures
from stream.domain.control import Raised
from stream.domain.decision import Outcome
from stream.domain.reasons import ReasonCode
from stream.domain.whitelist import WhitelistEntry
from stream.limits import REASONS_MAX
from stream.policy.model import Policy

Values = dict[str, int | float | str | bool | None]
"""What a rule saw, for the trail."""


class Case(NamedTuple):
    """Everything known of one application when its rules run; `now_ms` is the only clock."""

    app: Application
    entry: WhitelistEntry | None
    bureau: BureauFeatures | None
    now_ms: int
    submitted_at_ms: int
    decide_by_ms: int
    store_age_ms: int
    exposure_fen: int
    stopped_by: str | None = None
    """Id of the operator's command that stops this application, if one does."""
    cancelled: bool = False
    human_asked: bool = False
    revoked_at_ms: int | None = None
    raised: Raised | None = None
    """How far the guard has put the cut-off above the policy's."""


class Rows(Protocol):
    """A matrix, or a list of lists."""

    def __getitem__(self, row: int, /) -> Iterable[float]:
        """The numbers of one row."""
        ...


class Families(NamedTuple):
    """The reason families of a batch: M_ codes, and of each row its log-odds, centred.

    Centred is what is above the approved population.
    """

    codes: Sequence[str]
    centred: Rows


class Score(NamedTuple):
    """A model's answer, and where among the families of its batch it stands."""

    points: int
    pd: float
    families: Families
    row: int = 0

    @property
    def by_family(self) -> list[tuple[str, float]]:
        """Each family's code and centred log-odds."""
        centred = map(float, self.families.centred[self.row])
        return list(zip(self.families.codes, centred, strict=True))


class BreakerWindow(NamedTuple):
    """What a partition has approved of a segment in the breaker's window, and its most."""

    approvals: int
    amount_fen: int
    approvals_max: int
    amount_max_fen: int
    limited_by: str | None = None


class Verdict(Struct, frozen=True, gc=False):
    """Approve or refer, how much, why, and for a referral where to and by when."""

    outcome: Outcome
    approved_amount_fen: int
    reasons: tuple[ReasonCode, ...]
    trigger: ReasonCode | None
    queue: str | None
    overridable: bool
    due_ms: int
    price_tier: str | None
    apr_bps: int | None
    band: str | None
    counter_offer: bool


def refer(
    policy: Policy,
    reasons: Iterable[ReasonCode],
    *,
    overridable: bool = True,
    band: str | None = None,
) -> Verdict:
    """A referral routed by its first reason; overridable only when every reason is."""
    ranked = tuple(dict.fromkeys(reasons))
    route = policy.routes[ranked[0]]
    return Verdict(
        outcome=Outcome.REFER,
        approved_amount_fen=0,
        reasons=ranked[:REASONS_MAX],
        trigger=ranked[0],
        queue=route.queue,
        overridable=overridable and all(policy.routes[code].overridable for code in ranked),
        due_ms=route.due_ms,
        price_tier=None,
        apr_bps=None,
        band=band,
        counter_offer=False,
    )
