"""Real farmers and merchants replayed in the order they were approved, years in minutes.

`PATH` is the file `sba_full.csv.gz` (or its folder): loans guaranteed by the US
Small Business Administration, published with Li, Mickel and Taylor 2018. The
amount approved is what is asked, the amount guaranteed is the offer's limit.
The recorded term is never read: it is cut short by the failure it would
predict; 36 months are asked instead. What became of each loan follows as an
outcome at its own place on the compressed calendar.

Who is on the whitelist is decided as a screening would: by the bad rate of the
same kind of business among loans approved at least `SETTLED_YEARS` before.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from stream.codec.keys import decision_id
from stream.demo.loans import CHANNEL_SHARES
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
from stream.domain.decision import Decision
from stream.domain.instant import from_ms
from stream.domain.outcome import LoanOutcome, OutcomeEvent, outcome_of
from stream.domain.whitelist import Conclusion, WhitelistEntry
from stream.errors import ConfigError

SECTORS = {
    "11": (Segment.FARMER, "agriculture"),
    "42": (Segment.MERCHANT, "wholesale"),
    "44-45": (Segment.MERCHANT, "retail"),
    "72": (Segment.MERCHANT, "accommodation_food"),
}
FIRST_SBA = 10_000_000
TERM_ASKED_MONTHS = 36
SETTLED_YEARS = 3
SCREENED_OUT_FROM = 0.38
"""Much of the set was drawn half bad; this edge leaves out 8 % of it, of whom 64 % went bad."""

PRIOR_BAD, PRIOR_COUNT = 7.0, 20.0
"""A kind of business nobody knows yet counts as 20 loans at 35 % bad, the set's own rate."""

YEAR_MS_DEFAULT = 60_000
"""One year of approvals takes a minute."""

_COLUMNS = [
    "loan_nr", "state", "naics_sector", "approval_date", "approval_fy", "no_emp", "new_exist",
    "rev_line_cr", "low_doc", "gr_appv", "sba_appv", "chg_off_date", "chg_off_prin_gr", "bad",
]  # fmt: skip


class Fate(NamedTuple):
    """What became of a loan, and when on the replay's clock."""

    at_offset_ms: int
    event: OutcomeEvent
    loss_share: float
    decision_id: str


@dataclass(frozen=True, slots=True)
class SbaReplay:
    """Cases in approval order, when each is sent, and what became of it, by application id."""

    cases: list[LoanCase]
    offsets_ms: list[int]
    fates: dict[str, Fate]

    def outcome(self, decision: Decision, now_ms: int) -> LoanOutcome:
        """What core banking reports of an approved loan once its fate is due."""
        fate = self.fates[decision.application_id]
        lost = fate.event is OutcomeEvent.DEFAULT
        loss_fen = round(decision.approved_amount_fen * fate.loss_share) if lost else None
        return outcome_of(decision, fate.event, now_ms, loss_fen=loss_fen)

    def due(self) -> list[tuple[int, str]]:
        """Offset and decision id of every fate, in order; only approved ones are to be sent."""
        return sorted((fate.at_offset_ms, fate.decision_id) for fate in self.fates.values())


def load_sba(path: Path, run: Run, year_ms: int = YEAR_MS_DEFAULT) -> SbaReplay:
    """Farmers and merchants of the file, screened on older vintages; ConfigError without it."""
    rows = _rows(path)
    rng = random.Random(run.seed)  # noqa: S311  (a repeatable demo, not a secret)
    day_ms = year_ms / 365.25
    first = rows[0].approval_date
    listed = screened(rows)
    cases: list[LoanCase] = []
    offsets: list[int] = []
    fates: dict[str, Fate] = {}
    for number, (row, is_listed) in enumerate(zip(rows, listed, strict=True), start=FIRST_SBA):
        case = _case(row, run, number, is_listed, rng)
        cases.append(case)
        offsets.append(round((row.approval_date - first).days * day_ms))
        app = case.application
        id_ = decision_id(app.applicant_token, app.application_id)
        fates[app.application_id] = _fate(row, first, day_ms, id_)
    return SbaReplay(cases, offsets, fates)


def _rows(path: Path) -> list[Any]:
    import pandas as pd  # noqa: PLC0415  an extra: the message below must come first

    file = path / "sba_full.csv.gz" if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"{file}: no such file", fix="give --data the folder of sba_full.csv.gz")
    dates = ["approval_date", "chg_off_date"]
    table = pd.read_csv(
        file, usecols=_COLUMNS, parse_dates=dates, dtype={"naics_sector": str, "loan_nr": str}
    )
    usable = table["naics_sector"].isin(list(SECTORS)) & (table["sba_appv"] > 0)
    table = table[usable].sort_values(["approval_date", "loan_nr"], kind="stable")
    return list(table.itertuples(index=False))


def _kind(row: Any) -> tuple[str, bool, int]:  # noqa: ANN401  (untyped row)
    """Sector, new or not, and the order of magnitude of the amount: what vintages differ by."""
    return (
        row.naics_sector,
        row.new_exist == 2,
        int(row.gr_appv >= 25_000) + int(row.gr_appv >= 100_000),
    )


def screened(rows: Sequence[Any]) -> list[bool]:
    """For each row in approval order, whether its kind did well enough in settled vintages."""
    bad: Counter[tuple[str, bool, int]] = Counter()
    count: Counter[tuple[str, bool, int]] = Counter()
    settled = 0
    listed = []
    for row in rows:
        while rows[settled].approval_fy <= row.approval_fy - SETTLED_YEARS:
            kind = _kind(rows[settled])
            count[kind] += 1
            bad[kind] += int(rows[settled].bad)
            settled += 1
        kind = _kind(row)
        rate = (bad[kind] + PRIOR_BAD) / (count[kind] + PRIOR_COUNT)
        listed.append(rate < SCREENED_OUT_FROM)
    return listed


def _case(row: Any, run: Run, number: int, is_listed: bool, rng: random.Random) -> LoanCase:  # noqa: ANN401
    segment, sector = SECTORS[row.naics_sector]
    token = demo_token(run, number)
    offer_id = f"offer-{run.name}-{number:08d}"
    application = Application(
        application_id=f"{run.name}-sba-{row.loan_nr}",
        applicant_token=token,
        channel=rng.choices(list(CHANNEL_SHARES), list(CHANNEL_SHARES.values()))[0],
        segment=segment,
        product_code=PRODUCTS[segment],
        requested_amount_fen=round(row.gr_appv * 100),
        currency=CURRENCY,
        term_months=TERM_ASKED_MONTHS,
        loan_purpose="working_capital",
        submitted_at=from_ms(run.now_ms),
        authorization=authorization(run, number),
        declared=_declared(row, sector),
        region_code=f"us_{row.state.lower()}" if isinstance(row.state, str) else None,
        offer_id=offer_id if is_listed else None,
    )
    report = BureauFeatures(
        applicant_token=token,
        status=BureauStatus.NO_HIT,
        as_of=from_ms(run.now_ms - DAY_MS),
        authorization_id=authorization_id(run, number),
        scope=SCOPE,
    )
    limit_fen = round(row.sba_appv * 100)
    entry = _entry(run, token, offer_id, segment, limit_fen) if is_listed else None
    return LoanCase(application, report, entry)


def _declared(row: Any, sector: str) -> Declared:  # noqa: ANN401  (untyped row)
    """Only codes that mean something are passed on; the raw columns keep their noise."""
    yes_no = {"Y": True, "N": False}
    return Declared(
        business_is_new={1: False, 2: True}.get(row.new_exist),
        is_credit_line=yes_no.get(row.rev_line_cr),
        simplified_file=yes_no.get(row.low_doc),
        sector=sector,
        employee_count=int(row.no_emp),
    )


def _entry(run: Run, token: str, offer_id: str, segment: Segment, limit_fen: int) -> WhitelistEntry:
    apr_bps = 600
    return WhitelistEntry(
        applicant_token=token,
        offer_id=offer_id,
        segment=segment,
        conclusion=Conclusion.PREAPPROVED,
        limit_fen=limit_fen,
        price_tier=price_tier(apr_bps),
        apr_bps=apr_bps,
        risk_grade="screened",
        list_version=1,
        valid_from=from_ms(run.now_ms - 60 * DAY_MS),
        valid_to=from_ms(run.now_ms + 60 * DAY_MS),
    )


def _fate(row: Any, first: Any, day_ms: float, id_: str) -> Fate:  # noqa: ANN401  (untyped row)
    """Charged off on its date, or repaid after the months asked for."""
    days = (row.approval_date - first).days
    if not row.bad:
        return Fate(
            round((days + TERM_ASKED_MONTHS * 30.44) * day_ms), OutcomeEvent.REPAID, 0.0, id_
        )
    charged_off = row.chg_off_date
    if charged_off == charged_off and charged_off > row.approval_date:  # noqa: PLR0124  (NaT)
        days = (charged_off - first).days
    loss_share = min(row.chg_off_prin_gr / row.gr_appv, 1.0)
    return Fate(round(days * day_ms), OutcomeEvent.DEFAULT, loss_share, id_)
