"""What every demo applicant shares: made-up ids, consent, product and price codes.

National ids start with `DEMO-`, so nobody can take one for a person's; the key
below is public and protects nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stream.codec.keys import applicant_token
from stream.domain.application import Application, Authorization, Segment
from stream.domain.bureau import BureauFeatures
from stream.domain.instant import from_ms
from stream.domain.whitelist import WhitelistEntry

DEMO_KEY = b"public demo key, protects nothing"
SCOPE = "credit_decision"
CURRENCY = "CNY"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
YEAR_DAYS = 365

PRODUCTS = {
    Segment.CONSUMER: "consumer_loan",
    Segment.FARMER: "farmer_loan",
    Segment.MERCHANT: "merchant_loan",
}
_TIERS = ((800, "tier_a"), (1_200, "tier_b"), (1_800, "tier_c"))
_TIER_LAST = "tier_d"


@dataclass(frozen=True, slots=True)
class Run:
    """One demo run: ids carry its name, so a second run on the same broker is not a repeat."""

    now_ms: int
    seed: int = 7
    name: str = "demo"


class LoanCase(NamedTuple):
    """One application with what is known of its applicant; None is not listed, or no report."""

    application: Application
    bureau: BureauFeatures | None
    entry: WhitelistEntry | None


def national_id(run: Run, number: int) -> str:
    """A made-up id that looks it, `DEMO-<run>-000000000001`."""
    return f"DEMO-{run.name}-{number:012d}"


def demo_token(run: Run, number: int) -> str:
    """The applicant token of a made-up id under the public demo key."""
    return applicant_token(national_id(run, number), DEMO_KEY)


def authorization(run: Run, number: int) -> Authorization:
    """Consent given an hour before the run, good for ninety days."""
    return Authorization(
        authorization_id=authorization_id(run, number),
        scope=SCOPE,
        signed_at=from_ms(run.now_ms - HOUR_MS),
        expires_at=from_ms(run.now_ms + 90 * DAY_MS),
        automated_decision=True,
    )


def authorization_id(run: Run, number: int) -> str:
    """The id of an applicant's consent."""
    return f"auth-{run.name}-{number:08d}"


def price_tier(apr_bps: int) -> str:
    """The tier a yearly rate belongs to; a tier's upper end is included."""
    return next((tier for edge, tier in _TIERS if apr_bps <= edge), _TIER_LAST)
