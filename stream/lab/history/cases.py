"""A loan of the past as the engine meets it: an application's bytes and a standing offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stream.codec.application_v1 import encode_application
from stream.codec.headers import cloud_event
from stream.demo.terms import (
    CURRENCY,
    DAY_MS,
    Run,
    authorization,
    demo_token,
    price_tier,
)
from stream.domain.application import Application, Channel, Declared
from stream.domain.bureau import BureauFeatures
from stream.domain.instant import from_ms
from stream.domain.topics import APPLICATIONS
from stream.domain.whitelist import Conclusion, WhitelistEntry
from stream.lab.history.loans import Past
from stream.lab.history.model import SEGMENT
from stream.ports import Record

TERM_ASKED_MONTHS = 36
"""Asked by all: the recorded term is cut short by the failure it would predict."""

PRODUCT = "micro_secured"
"""The product whose bounds hold nearly all amounts of the programme."""
APR_BPS = 600


class Asked(NamedTuple):
    """One loan with the record that asks for it, and its offer if it is on the year's list."""

    loan: Past
    record: Record
    token: str
    entry: WhitelistEntry | None


def asked(loan: Past, place: int, *, listed: bool) -> Asked:
    """The loan as an application on the day of its approval; `place` is its number in the replay.

    What is asked is the amount approved then, the offer's limit is what was guaranteed of it.
    """
    run = Run(loan.approved_ms, name="history")
    token = demo_token(run, place)
    offer_id = f"offer-history-{place:06d}"
    application = Application(
        application_id=f"history-{loan.number}",
        applicant_token=token,
        channel=Channel.CUSTOMER_MANAGER,
        segment=SEGMENT,
        product_code=PRODUCT,
        requested_amount_fen=loan.amount_fen,
        currency=CURRENCY,
        term_months=TERM_ASKED_MONTHS,
        loan_purpose="working_capital",
        submitted_at=from_ms(loan.approved_ms),
        authorization=authorization(run, place),
        declared=Declared(
            business_is_new=loan.is_new,
            is_credit_line=loan.is_line,
            simplified_file=loan.is_simple,
        ),
        offer_id=offer_id if listed else None,
    )
    id_ = application.application_id
    headers = cloud_event("loan.application.v1", "/history", id_, application.submitted_at)
    record = Record(
        APPLICATIONS,
        0,
        place,
        token.encode(),
        encode_application(application),
        headers,
        loan.approved_ms,
    )
    return Asked(loan, record, token, _offer(loan, token, offer_id) if listed else None)


def _offer(loan: Past, token: str, offer_id: str) -> WhitelistEntry:
    return WhitelistEntry(
        applicant_token=token,
        offer_id=offer_id,
        segment=SEGMENT,
        conclusion=Conclusion.PREAPPROVED,
        limit_fen=loan.limit_fen,
        price_tier=price_tier(APR_BPS),
        apr_bps=APR_BPS,
        risk_grade="screened",
        list_version=1,
        valid_from=from_ms(loan.approved_ms - 30 * DAY_MS),
        valid_to=from_ms(loan.approved_ms + 30 * DAY_MS),
    )


class DayViews:
    """The store as it is on one day: the list's offers, and no bureau, as the table has none."""

    def __init__(self, now_ms: int, cases: Sequence[Asked]) -> None:
        """Hold the offers of these cases."""
        self.fresh_at_ms = now_ms
        self._offers = {case.token: case.entry for case in cases}

    def whitelist(self, applicant_token: str) -> WhitelistEntry | None:
        """The offer of a listed applicant."""
        return self._offers.get(applicant_token)

    def bureau(self, applicant_token: str) -> BureauFeatures | None:
        """Nothing is known of anybody."""
        del applicant_token
        return None
