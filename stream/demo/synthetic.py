"""Farmer and merchant applications nobody made, and the rest of the whitelist.

No open set of farmers' and small merchants' applications can be shipped, so
these are drawn, seeded, from published distributions and marked `synthetic`.
Amounts, the share of them that becomes the offer's limit, sectors, new
businesses, credit lines and simplified files follow the loans guaranteed by
the US Small Business Administration, published with M. Li, A. Mickel and
S. Taylor, "Should This Loan be Approved or Denied?", Journal of Statistics
Education 26(1), 2018, doi 10.1080/10691898.2018.1434342: `SHAPES` is what
6,152 loans of NAICS 11 and 120,746 of 42, 44-45 and 72 show. Incomes, debts,
terms, purposes and bureau views are plain assumption.
"""

from __future__ import annotations

import hmac
import math
import random
from collections.abc import Iterator
from typing import NamedTuple

from stream.demo.loans import CHANNEL_SHARES
from stream.demo.terms import (
    CURRENCY,
    DAY_MS,
    DEMO_KEY,
    PRODUCTS,
    SCOPE,
    LoanCase,
    Run,
    authorization,
    authorization_id,
    demo_token,
    national_id,
    price_tier,
)
from stream.domain.application import Application, Declared, Segment
from stream.domain.bureau import BureauFeatures, BureauStatus
from stream.domain.instant import from_ms
from stream.domain.whitelist import Conclusion, WhitelistEntry

FIRST_SYNTHETIC = 1_000_000
"""Made-up ids of drawn applicants start here, those of mere list entries at the next."""
FIRST_FILLER = 100_000_000

AMOUNT_MIN_FEN, AMOUNT_MAX_FEN = 500_000, 50_000_000
AMOUNT_STEP_FEN = 100_000
_SECTORS = {"retail": 0.54, "wholesale": 0.23, "accommodation_food": 0.23}
_PURPOSES = {
    Segment.FARMER: ("seed_and_fertiliser", "livestock", "farm_machinery", "land_lease"),
    Segment.MERCHANT: ("stock", "shop_equipment", "working_capital", "shop_rent"),
}


class Shape(NamedTuple):
    """One segment's distribution: a lognormal amount, and shares of applications."""

    median_fen: int
    sigma: float
    limit_shares: tuple[float, float]
    is_new: float
    is_line: float
    is_simplified: float


SHAPES = {
    Segment.FARMER: Shape(18_000_000, 1.27, (0.65, 0.9), 0.32, 0.10, 0.06),
    Segment.MERCHANT: Shape(6_500_000, 1.29, (0.5, 0.85), 0.30, 0.38, 0.06),
}


class Row(NamedTuple):
    """One record of a compacted topic, ready to send."""

    key: bytes
    value: bytes


def synthetic_cases(run: Run, count: int) -> list[LoanCase]:
    """Farmers and merchants in turn, marked synthetic, the same for the same run."""
    rng = random.Random(run.seed + 1)  # noqa: S311  (a repeatable demo, not a secret)
    segments = (Segment.FARMER, Segment.MERCHANT)
    return [
        _case(run, FIRST_SYNTHETIC + number, segments[number % 2], rng) for number in range(count)
    ]


def _amount_fen(shape: Shape, rng: random.Random) -> int:
    drawn = rng.lognormvariate(math.log(shape.median_fen), shape.sigma)
    bounded = min(max(drawn, AMOUNT_MIN_FEN), AMOUNT_MAX_FEN)
    return round(bounded / AMOUNT_STEP_FEN) * AMOUNT_STEP_FEN


def _case(run: Run, number: int, segment: Segment, rng: random.Random) -> LoanCase:
    token, shape = demo_token(run, number), SHAPES[segment]
    asked_fen = _amount_fen(shape, rng)
    entry = _entry(run, number, segment, round(asked_fen * rng.uniform(*shape.limit_shares)))
    application = Application(
        application_id=f"{run.name}-made-{number:06d}",
        applicant_token=token,
        channel=rng.choices(list(CHANNEL_SHARES), list(CHANNEL_SHARES.values()))[0],
        segment=segment,
        product_code=PRODUCTS[segment],
        requested_amount_fen=asked_fen,
        currency=CURRENCY,
        term_months=rng.choice((12, 24, 36)),
        loan_purpose=rng.choice(_PURPOSES[segment]),
        submitted_at=from_ms(run.now_ms),
        authorization=authorization(run, number),
        declared=_declared(segment, asked_fen, rng),
        offer_id=entry.offer_id,
        synthetic=True,
    )
    listed = rng.random() >= 0.03
    return LoanCase(application, _bureau(run, token, number, rng), entry if listed else None)


def _declared(segment: Segment, asked_fen: int, rng: random.Random) -> Declared:
    shape = SHAPES[segment]
    income_fen = round(asked_fen * rng.lognormvariate(math.log(2.5), 0.5))
    sector = "agriculture"
    if segment is Segment.MERCHANT:
        sector = rng.choices(list(_SECTORS), list(_SECTORS.values()))[0]
    return Declared(
        annual_income_fen=income_fen,
        monthly_debt_fen=round(income_fen / 12 * rng.uniform(0.0, 0.25)),
        income_verified=rng.random() < 0.5,
        business_is_new=rng.random() < shape.is_new,
        is_credit_line=rng.random() < shape.is_line,
        simplified_file=rng.random() < shape.is_simplified,
        sector=sector,
        employee_count=min(int(rng.lognormvariate(math.log(3), 1.0)), 500),
    )


def _entry(run: Run, number: int, segment: Segment, limit_fen: int) -> WhitelistEntry:
    apr_bps = 435 + 90 * (number % 8)
    return WhitelistEntry(
        applicant_token=demo_token(run, number),
        offer_id=f"offer-{run.name}-{number:08d}",
        segment=segment,
        conclusion=Conclusion.PREAPPROVED,
        limit_fen=limit_fen,
        price_tier=price_tier(apr_bps),
        apr_bps=apr_bps,
        risk_grade="abcdefgh"[number % 8],
        list_version=1,
        valid_from=from_ms(run.now_ms - 60 * DAY_MS),
        valid_to=from_ms(run.now_ms + 60 * DAY_MS),
    )


def _bureau(run: Run, token: str, number: int, rng: random.Random) -> BureauFeatures:
    """Four in ten farmers and merchants have no file; the others a short one."""
    no_hit = rng.random() < 0.4
    late = not no_hit and rng.random() < 0.06
    return BureauFeatures(
        applicant_token=token,
        status=BureauStatus.NO_HIT if no_hit else BureauStatus.HIT,
        as_of=from_ms(run.now_ms - DAY_MS),
        authorization_id=authorization_id(run, number),
        scope=SCOPE,
        delinquencies_24m=None if no_hit else int(late),
        accounts_past_due=None if no_hit else 0,
        inquiries_12m=None if no_hit else min(int(rng.expovariate(0.6)), 12),
        total_accounts=None if no_hit else rng.randint(5, 20),
    )


def filler_entries(run: Run, count: int) -> Iterator[Row]:
    """Whitelist entries of people who will not apply, as bytes; about 4 µs each.

    Written by template, as a record object each would double the time; the
    unit test reads some back through the strict decoder.
    """
    head = (
        '{"applicant_token":"%s","offer_id":"offer-%s-%d","segment":"%s","conclusion":'
        '"preapproved","limit_fen":%d,"price_tier":"%s","apr_bps":%d,"risk_grade":"%s",'
    )
    tail = (
        f'"list_version":1,"valid_from":"{from_ms(run.now_ms - 60 * DAY_MS)}",'
        f'"valid_to":"{from_ms(run.now_ms + 60 * DAY_MS)}"}}'
    )
    template, segments = head + tail, [segment.value for segment in Segment]
    tiers = [(435 + 90 * step, price_tier(435 + 90 * step)) for step in range(8)]
    for number in range(FIRST_FILLER, FIRST_FILLER + count):
        token = _token(run, number)
        apr_bps, tier = tiers[number % 8]
        limit_fen = AMOUNT_STEP_FEN * (5 + number * 7919 % 296)
        grade = "abcdefgh"[number % 8]
        text = template % (
            token, run.name, number, segments[number % 3], limit_fen, tier, apr_bps, grade
        )  # fmt: skip
        yield Row(token.encode(), text.encode())


def filler_bureau(run: Run, count: int) -> Iterator[Row]:
    """Bureau features of the first `count` people of `filler_entries`, as bytes."""
    template = (
        '{"applicant_token":"%s","status":"hit","as_of":"' + from_ms(run.now_ms - DAY_MS) + '",'
        '"authorization_id":"%s","scope":"' + SCOPE + '","delinquencies_24m":0,'
        '"accounts_past_due":0,"inquiries_12m":%d,"utilisation_pct":%d.0,"total_accounts":%d}'
    )
    for number in range(FIRST_FILLER, FIRST_FILLER + count):
        token = _token(run, number)
        given = authorization_id(run, number)
        text = template % (token, given, number % 4, number % 90, 5 + number % 20)
        yield Row(token.encode(), text.encode())


def _token(run: Run, number: int) -> str:
    """`demo_token` by the one-shot digest, a third of the time of an HMAC object."""
    digest = hmac.digest(DEMO_KEY, national_id(run, number).encode(), "sha256")
    return f"a1_{digest[:16].hex()}"
