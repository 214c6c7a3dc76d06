"""The real and the drawn applications of the demo, and the rows of its tables."""

from __future__ import annotations

from itertools import islice

import msgspec
import pytest

from stream.codec.application_v1 import check_envelope, decode_application, encode_application
from stream.codec.headers import cloud_event
from stream.codec.keys import applicant_token
from stream.demo.loans import load_loans
from stream.demo.sba import load_sba, screened
from stream.demo.synthetic import filler_bureau, filler_entries, synthetic_cases
from stream.demo.tables import bureau_rows, whitelist_rows
from stream.demo.terms import DEMO_KEY, LoanCase, Run, demo_token, national_id
from stream.domain.application import Segment
from stream.domain.bureau import BureauFeatures, BureauStatus
from stream.domain.whitelist import Conclusion, WhitelistEntry
from stream.errors import ConfigError

RUN = Run(now_ms=1_764_000_000_000)


@pytest.fixture(scope="module")
def loans() -> list[LoanCase]:
    return load_loans(RUN)


def test_all_real_applications_are_there(loans: list[LoanCase]) -> None:
    """The set's 10,000 applications, each under its own id and token, none synthetic."""
    applications = [case.application for case in loans]
    assert len(loans) == 10_000
    assert len({app.application_id for app in applications}) == 10_000
    assert len({app.applicant_token for app in applications}) == 10_000
    assert not any(app.synthetic for app in applications)


def test_first_real_row_is_mapped_column_by_column(loans: list[LoanCase]) -> None:
    """Amount, term, income, rate and bureau columns are those of the set's first row."""
    application, bureau, entry = loans[0]
    assert application.requested_amount_fen == 2_800_000
    assert application.term_months == 60
    assert application.declared.annual_income_fen == 9_000_000
    assert application.declared.monthly_debt_fen == 135_075
    assert bureau is not None
    assert bureau.inquiries_12m == 6
    assert bureau.total_accounts == 28
    assert entry is not None
    assert entry.apr_bps == 1_407


@pytest.mark.parametrize("kind", ["real", "drawn"])
def test_every_record_passes_the_strict_decoders(kind: str, loans: list[LoanCase]) -> None:
    """What the demo publishes is what the engine accepts, to the byte."""
    for application, bureau, entry in loans if kind == "real" else synthetic_cases(RUN, 1_000):
        value = encode_application(application)
        assert decode_application(value) == application
        headers = cloud_event("t", "/s", "i", "n")
        check_envelope(application, application.applicant_token.encode(), [*headers])
        if bureau is not None:
            assert bureau == msgspec.json.decode(msgspec.json.encode(bureau), type=BureauFeatures)
        if entry is not None:
            assert entry == msgspec.json.decode(msgspec.json.encode(entry), type=WhitelistEntry)


def test_ids_are_visibly_made_up() -> None:
    """A token comes from an id that nobody can take for a person's."""
    assert national_id(RUN, 1) == "DEMO-demo-000000000001"
    assert demo_token(RUN, 1) == applicant_token("DEMO-demo-000000000001", DEMO_KEY)


def test_a_second_run_has_other_ids() -> None:
    """Another run's name gives other tokens, so its applications are not repeats."""
    assert demo_token(RUN, 1) != demo_token(Run(RUN.now_ms, name="next"), 1)


def test_same_seed_same_loans(loans: list[LoanCase]) -> None:
    """The mapping is a function of the run."""
    assert loans == load_loans(RUN)


def test_some_offers_and_reports_are_wanting(loans: list[LoanCase]) -> None:
    """A few per cent are not listed or suspended, about a quarter ask above their limit."""
    entries = [case.entry for case in loans]
    listed = [entry for entry in entries if entry is not None]
    suspended = sum(entry.conclusion is Conclusion.SUSPENDED for entry in listed)
    above = sum(
        case.application.requested_amount_fen > case.entry.limit_fen
        for case in loans
        if case.entry is not None
    )
    assert 100 < entries.count(None) < 300
    assert 50 < suspended < 150
    assert 2_000 < above < 3_500
    assert any(case.bureau and case.bureau.status is BureauStatus.THIN_FILE for case in loans)


def test_drawn_applications_say_so() -> None:
    """Farmers and merchants in equal parts, every one marked synthetic."""
    cases = synthetic_cases(RUN, 100)
    assert all(case.application.synthetic for case in cases)
    assert sum(case.application.segment is Segment.FARMER for case in cases) == 50


def test_filler_rows_pass_the_strict_decoders() -> None:
    """Rows written by template are records, keyed by their own token."""
    for row in filler_entries(RUN, 200):
        entry = msgspec.json.decode(row.value, type=WhitelistEntry)
        assert row.key == entry.applicant_token.encode()
    for row in filler_bureau(RUN, 50):
        report = msgspec.json.decode(row.value, type=BureauFeatures)
        assert row.key == report.applicant_token.encode()


def test_filler_tokens_are_demo_tokens() -> None:
    """The fast digest gives the token of the made-up id."""
    row = next(filler_entries(RUN, 1))
    assert row.key == demo_token(RUN, 100_000_000).encode()


def test_tables_begin_with_the_applicants(loans: list[LoanCase]) -> None:
    """The list holds the applicants' entries first and is filled up to the number asked."""
    own = [case.entry for case in loans if case.entry is not None]
    rows = list(whitelist_rows(loans, RUN, 12_000))
    assert len(rows) == 12_000
    assert len({row.key for row in rows}) == 12_000
    assert [row.key.decode() for row in rows[:5]] == [e.applicant_token for e in own[:5]]
    assert len(list(bureau_rows(loans, RUN, 7))) == 10_007


HEADER = (
    "loan_nr,state,naics_sector,approval_date,approval_fy,no_emp,new_exist,rev_line_cr,low_doc,"
    "gr_appv,sba_appv,chg_off_date,chg_off_prin_gr,bad"
)
OLD = [f"{1000 + n},IA,72,1997-01-0{n % 9 + 1},1997,3,2,N,N,30000,15000,,0.0,1" for n in range(40)]
NEW = [
    "2000,IA,11,2001-01-01,2001,4,1,Y,N,50000,40000,,0.0,0",
    "2001,CA,72,2001-06-01,2001,2,2,0,N,30000,15000,2003-06-01,12000.0,1",
    "2002,CA,54,2001-07-01,2001,2,2,0,N,30000,15000,,0.0,0",
]


def test_sba_rows_are_replayed_in_approval_order(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Farmers and merchants only, in order; the kind that failed in old vintages is not listed."""
    file = tmp_path / "sba_full.csv.gz"
    import gzip  # noqa: PLC0415

    file.write_bytes(gzip.compress("\n".join([HEADER, *reversed(NEW), *OLD]).encode()))
    replay = load_sba(file, RUN)
    assert len(replay.cases) == 42
    assert replay.offsets_ms == sorted(replay.offsets_ms)
    farmer, merchant = replay.cases[-2:]
    assert farmer.application.segment is Segment.FARMER
    assert farmer.application.requested_amount_fen == 5_000_000
    assert farmer.entry is not None
    assert farmer.entry.limit_fen == 4_000_000
    assert farmer.application.declared.is_credit_line is True
    assert merchant.entry is None
    assert merchant.application.declared.is_credit_line is None
    fate = replay.fates[merchant.application.application_id]
    assert fate.event.value == "default"
    assert fate.loss_share == pytest.approx(0.4)
    assert fate.at_offset_ms > replay.offsets_ms[-1]


def test_screening_knows_settled_vintages_only() -> None:
    """A loan's own vintage and those just before it never decide about it."""
    row = msgspec.defstruct(
        "Row", ["naics_sector", "new_exist", "gr_appv", "approval_fy", "bad"], frozen=True
    )
    young = [row("72", 2, 30_000.0, 2000, 1) for _ in range(100)]
    assert screened([*young, row("72", 2, 30_000.0, 2002, 0)]) == [True] * 101
    assert screened([*young, row("72", 2, 30_000.0, 2003, 0)])[-1] is False


def test_a_missing_file_says_what_to_do(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A path without the file is a setting to mend, not a crash."""
    with pytest.raises(ConfigError, match="--data"):
        load_sba(tmp_path / "nowhere.csv.gz", RUN)


def test_generators_do_not_build_the_whole_list() -> None:
    """Entries come one by one: the first is there at once."""
    assert len(list(islice(filler_entries(RUN, 10**9), 3))) == 3
