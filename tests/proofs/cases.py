"""Real applications of all three segments, and the engine's pipeline to put them before.

Consumers are the demo's (openintro.loans_full_schema). Farmers and merchants are
rows of `sba_core.csv.gz`, guaranteed in part: amount, guaranteed part as the
offer's limit, kind and sector are real, ids and consent are made up. Without that
file the demo's made-up ones stand in, and `source` says so.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pandas as pd
from builders import FakeViews, raw, under
from policy_cases import POLICY

from stream.config import Settings
from stream.demo.loans import load_loans
from stream.demo.sba import SECTORS, TERM_ASKED_MONTHS
from stream.demo.synthetic import synthetic_cases
from stream.demo.terms import (
    CURRENCY,
    DAY_MS,
    PRODUCTS,
    SCOPE,
    LoanCase,
    Run,
    authorization,
    authorization_id,
    demo_token,
    price_tier,
)
from stream.domain.application import Application, Declared, Segment
from stream.domain.bureau import BureauFeatures, BureauStatus
from stream.domain.draft import Draft
from stream.domain.instant import from_ms, to_ms
from stream.domain.ledger import Ledger
from stream.domain.whitelist import Conclusion, WhitelistEntry
from stream.edge.onnx_scorer import load_models
from stream.pipeline import Decides, Pipeline
from stream.ports import Record

NOW_MS = to_ms("2026-11-25T00:00:00Z")
DATA = Path(__file__).parents[2].parent / "shared" / "data"
RUN = Run(now_ms=NOW_MS)
MODELS = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
PIPELINE = Pipeline(MODELS, POLICY)
FIRST = 20_000_000
APR_BPS = 600


class Cases(NamedTuple):
    """Cases of one segment, and where they come from."""

    source: str
    cases: list[LoanCase]


@cache
def cases_of(segment: Segment, data: Path = DATA) -> Cases:
    """All cases at hand, in an order drawn by a fixed seed; some thousands of each segment."""
    file = data / "sba" / "sba_core.csv.gz"
    if segment is Segment.CONSUMER:
        found = Cases("openintro.loans_full_schema", load_loans(RUN))
    elif file.is_file():
        found = Cases("sba_core.csv.gz, guaranteed in part", _business(file, segment))
    else:
        made_up = synthetic_cases(RUN, 6_000)
        mine = [each for each in made_up if each.application.segment is segment]
        found = Cases("made up by stream.demo.synthetic", mine)
    random.Random(7).shuffle(found.cases)
    return found


def _business(file: Path, segment: Segment, most: int = 12_000) -> list[LoanCase]:
    table = pd.read_csv(file, dtype={"naics_sector": str})
    sectors = [code for code, (each, _) in SECTORS.items() if each is segment]
    partly = (table["sba_appv"] > 0) & (table["sba_appv"] < table["gr_appv"])
    rows = table[table["naics_sector"].isin(sectors) & partly]
    rows = rows.sample(min(most, len(rows)), random_state=7)
    return [_case(row, segment) for row in rows.itertuples(index=False)]


def _case(row: Any, segment: Segment) -> LoanCase:
    number = FIRST + int(row.row)
    token, offer_id = demo_token(RUN, number), f"offer-core-{row.row}"
    app = Application(
        application_id=f"core-{row.row:08d}",
        applicant_token=token,
        channel="mobile_bank",
        segment=segment,
        product_code=PRODUCTS[segment],
        requested_amount_fen=round(row.gr_appv * 100),
        currency=CURRENCY,
        term_months=TERM_ASKED_MONTHS,
        loan_purpose="working_capital",
        submitted_at=from_ms(NOW_MS),
        authorization=authorization(RUN, number),
        declared=Declared(
            business_is_new={1: False, 2: True}.get(row.new_exist),
            is_credit_line=bool(row.rev_line_cr),
            simplified_file=bool(row.low_doc),
            sector=SECTORS[row.naics_sector][1],
        ),
        offer_id=offer_id,
    )
    entry = WhitelistEntry(
        applicant_token=token,
        offer_id=offer_id,
        segment=segment,
        conclusion=Conclusion.PREAPPROVED,
        limit_fen=round(row.sba_appv * 100),
        price_tier=price_tier(APR_BPS),
        apr_bps=APR_BPS,
        risk_grade="screened",
        list_version=1,
        valid_from=from_ms(NOW_MS - 60 * DAY_MS),
        valid_to=from_ms(NOW_MS + 60 * DAY_MS),
    )
    report = BureauFeatures(
        applicant_token=token,
        status=BureauStatus.NO_HIT,
        as_of=from_ms(NOW_MS - DAY_MS),
        authorization_id=authorization_id(RUN, number),
        scope=SCOPE,
    )
    return LoanCase(app, report, entry)


def record_of(app: Application, offset: int = 0) -> Record:
    """The application as a channel's bytes, polled."""
    key = app.applicant_token.encode()
    value = msgspec.json.encode(app)
    return raw(value, key=key, offset=offset)._replace(timestamp_ms=NOW_MS)


def decided(cases: Sequence[LoanCase], pipeline: Decides = PIPELINE) -> list[Any]:
    """Audits of the cases, decided by the engine in batches small enough for the breaker."""
    audits: list[Any] = []
    for start in range(0, len(cases), 50):
        some = cases[start : start + 50]
        held = [part for case in some for part in (case.entry, case.bureau) if part is not None]
        records = [record_of(case.application, number) for number, case in enumerate(some)]
        views = FakeViews(*held, fresh_at_ms=NOW_MS)
        batch = pipeline.run(
            records, {0: Draft(Ledger())}, under(views, NOW_MS), lambda _stage: None
        )
        assert not batch.buried, batch.buried[0][1]
        audits += [audit for _, audit in batch.audits]
    return audits
