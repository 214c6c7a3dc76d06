"""Screening in columns says what the engine's own parts say, and sends only what changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from builders import application, bureau, entry
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stream.config import load_settings
from stream.domain.application import Application, Segment
from stream.domain.instant import from_ms, to_ms
from stream.domain.profile import UNKNOWN_PCT, CustomerProfile
from stream.domain.whitelist import WhitelistEntry
from stream.edge.onnx_scorer import load_models
from stream.edge.screen_book import ScreenBook
from stream.errors import ConfigError
from stream.policy.load import load_policy
from stream.scoring.features import build_row
from stream.scoring.scorecard import to_points
from stream.screening.batch import Held, Outcome, screen_batch
from stream.screening.columns import Columns
from stream.screening.decode import take
from stream.screening.offers import DAY_MS, fingerprint
from stream.screening.policy import load_screening_policy
from stream.screening.screen import Screening, points_of

SETTINGS = load_settings()
POLICY = load_policy(SETTINGS.policy_file)
RULES, _ = load_screening_policy(SETTINGS.screening_file, POLICY)
SCORERS = load_models(SETTINGS.models_dir, POLICY.models)
SCREENING = Screening(SCORERS, POLICY, RULES)
NOW_MS = to_ms("2026-11-25T08:00:00Z")

counts = st.integers(0, 40)
profiles = st.builds(
    CustomerProfile,
    applicant_token=st.integers(0, 2**128 - 1).map(lambda number: f"a1_{number:032x}"),
    segment=st.sampled_from(Segment),
    as_of=st.just("2026-11-24T00:00:00Z"),
    screening_consent=st.booleans(),
    on_hold=st.booleans(),
    annual_income_fen=st.just(-1) | st.integers(0, 10**12),
    employment_years=st.just(-1) | st.integers(0, 80),
    business_is_new=st.none() | st.booleans(),
    sector=st.none() | st.sampled_from(["retail", "wholesale", "accommodation_food", "crops"]),
    accounts_past_due=st.just(-1) | st.integers(0, 1),
    delinquencies_24m=st.just(-1) | counts,
    inquiries_12m=st.just(-1) | counts,
    utilisation_pct=st.just(UNKNOWN_PCT) | st.floats(0, 1_000),
    open_installment_count=st.just(-1) | counts,
)


def profile(number: int, **changes: object) -> CustomerProfile:
    """A consumer who is listed."""
    return msgspec.structs.replace(
        CustomerProfile(
            applicant_token=f"a1_{number:032x}",
            segment=Segment.CONSUMER,
            as_of="2026-11-24T00:00:00Z",
            screening_consent=True,
            annual_income_fen=30_000_000,
            employment_years=10,
            delinquencies_24m=0,
            accounts_past_due=0,
            inquiries_12m=0,
            utilisation_pct=10.0,
            open_installment_count=1,
        ),
        **changes,
    )


def sent(*given_profiles: CustomerProfile) -> list[tuple[bytes | None, bytes | None]]:
    return [(p.applicant_token.encode(), msgspec.json.encode(p)) for p in given_profiles]


def nobody(keys: Sequence[bytes]) -> list[None]:
    """A list on which nobody stands."""
    return [None] * len(keys)


def run(book: ScreenBook, *given_profiles: CustomerProfile, now_ms: int = NOW_MS) -> Outcome:
    outcome = screen_batch(SCREENING, sent(*given_profiles), book.standing, now_ms)
    book.write((c.key, c.held) for c in outcome.changes)
    return outcome


@pytest.fixture
def book(tmp_path: Path) -> ScreenBook:
    return ScreenBook(tmp_path, "cluster/whitelist.entries/0")


def _none(value: float) -> float | None:
    return None if value < 0 else value


@hypothesis_settings(deadline=None, max_examples=25)
@given(profiles)
def test_feature_rows_are_those_of_the_engine(person: CustomerProfile) -> None:
    """Each column holds what `build_row` makes of the same person asking for the whole offer."""
    terms = RULES.segments[person.segment]
    asked = msgspec.convert(application(), Application)
    asked = msgspec.structs.replace(
        asked,
        requested_amount_fen=terms.ask_fen,
        term_months=terms.term_months,
        declared=msgspec.structs.replace(
            asked.declared,
            annual_income_fen=_none(person.annual_income_fen),
            employment_years=_none(person.employment_years),
            business_is_new=person.business_is_new,
            sector=person.sector,
            is_credit_line=terms.is_credit_line,
            simplified_file=terms.simplified_file,
        ),
    )
    offer = msgspec.structs.replace(entry(), limit_fen=terms.ask_fen)
    report = msgspec.structs.replace(
        bureau(),
        delinquencies_24m=_none(person.delinquencies_24m),
        accounts_past_due=_none(person.accounts_past_due),
        inquiries_12m=_none(person.inquiries_12m),
        utilisation_pct=_none(person.utilisation_pct),
        open_installment_count=_none(person.open_installment_count),
    )
    names = SCORERS[POLICY.segments[person.segment].model].manifest.feature_names
    expected = np.array([build_row(names, asked, offer, report)], dtype=np.float32)
    np.testing.assert_array_equal(expected, Columns([person], terms).matrix(names))


@hypothesis_settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(-30, 30), min_size=1, max_size=20))
def test_points_are_those_of_the_scorecard(log_odds: list[float]) -> None:
    """The column of points is the engine's point for point."""
    scaling = SCORERS["consumer"].manifest.scaling
    expected = [to_points(each, scaling) for each in log_odds]
    assert expected == points_of(np.array(log_odds), scaling).tolist()


@hypothesis_settings(deadline=None, max_examples=10)
@given(st.lists(profiles, min_size=1, max_size=30, unique_by=lambda p: p.applicant_token))
def test_a_batch_is_its_people_one_by_one(people: list[CustomerProfile]) -> None:
    """Neither the company a person is screened in nor its order changes their offer."""
    together = screen_batch(SCREENING, sent(*people), nobody, NOW_MS)
    single = [
        change
        for person in people
        for change in screen_batch(SCREENING, sent(person), nobody, NOW_MS).changes
    ]
    assert sorted(single) == sorted(together.changes)
    assert len(people) == together.counts["listed"] + sum(
        count for name, count in together.counts.items() if name.startswith("reason:")
    )


@hypothesis_settings(deadline=None, max_examples=20)
@given(profiles)
def test_offer_is_within_policy_and_its_fingerprint_follows_from_it(p: CustomerProfile) -> None:
    """An entry keeps band, cap, income share and price tier; reading it back tells the same."""
    p = msgspec.structs.replace(p, screening_consent=True)
    for change in screen_batch(SCREENING, sent(p), nobody, NOW_MS).changes:
        assert change.value is not None
        assert change.held is not None
        offer = msgspec.json.decode(change.value, type=WhitelistEntry)
        rules, terms = POLICY.segments[p.segment], RULES.segments[p.segment]
        tier = POLICY.price_tiers[offer.price_tier]
        assert RULES.list_version == offer.list_version
        assert terms.limit_min_fen <= offer.limit_fen <= rules.exposure_cap_fen
        assert offer.limit_fen % POLICY.amount_step_fen == 0
        share = p.annual_income_fen * terms.limit_income_pct // 100
        known = p.annual_income_fen >= 0
        assert offer.limit_fen <= (share if known else terms.limit_income_unknown_fen)
        assert tier.apr_min_bps <= offer.apr_bps <= tier.apr_max_bps
        assert change.held == (fingerprint(offer), to_ms(offer.valid_to))


def test_only_what_changed_is_sent(book: ScreenBook) -> None:
    """New: an entry. Again: nothing. Worse: a tombstone with the reason. Still worse: nothing."""
    first = run(book, profile(1), profile(2))
    assert [change.value is not None for change in first.changes] == [True, True]
    assert run(book, profile(1), profile(2)).changes == []
    (off,) = run(book, profile(1, accounts_past_due=1), profile(2)).changes
    assert (profile(1).applicant_token.encode(), None, "B_PAST_DUE_NOW") == (
        off.key, off.value, off.reason,
    )  # fmt: skip
    assert run(book, profile(1, accounts_past_due=2)).changes == []
    assert len(book) == 1


def test_an_offer_is_renewed_before_it_ends(book: ScreenBook) -> None:
    """It is sent again once fewer than `renew_days` are left, and not a day sooner."""
    run(book, profile(1))
    spare = (RULES.validity_days - RULES.renew_days - 1) * DAY_MS
    day_ms = NOW_MS - NOW_MS % DAY_MS
    fresh = profile(1, as_of=from_ms(day_ms + spare))
    assert run(book, fresh, now_ms=day_ms + spare).changes == []
    assert len(run(book, fresh, now_ms=day_ms + spare + DAY_MS).changes) == 1


def test_a_deleted_profile_takes_the_person_off(book: ScreenBook) -> None:
    """A tombstone of a profile becomes one of the entry; of an unlisted person, nothing."""
    run(book, profile(1))
    keys: list[tuple[bytes | None, bytes | None]] = [
        (profile(n).applicant_token.encode(), None) for n in (1, 2)
    ]
    (off,) = screen_batch(SCREENING, keys, book.standing, NOW_MS).changes
    assert (keys[0][0], None) == (off.key, off.value)


def test_an_unknown_income_gets_what_the_policy_allows_it() -> None:
    """Of a farmer, whom the engine does not refer for it: the policy's amount, not a band's."""
    person = profile(1, segment=Segment.FARMER, annual_income_fen=-1, business_is_new=False)
    (change,) = screen_batch(SCREENING, sent(person), nobody, NOW_MS).changes
    assert change.value is not None
    offer = msgspec.json.decode(change.value, type=WhitelistEntry)
    assert RULES.segments[Segment.FARMER].limit_income_unknown_fen == offer.limit_fen


REASONS = {
    "C_CONSENT_MISSING": {"screening_consent": False},
    "C_DATA_INCOMPLETE": {"as_of": "2020-01-01T00:00:00Z"},
    "B_INQUIRIES": {"inquiries_12m": 20},
    "A_INCOME_MISSING": {"annual_income_fen": -1},
    "A_AFFORDABILITY": {"annual_income_fen": 399_999},
}


@pytest.mark.parametrize("reason", REASONS)
def test_why_a_person_is_not_listed(reason: str) -> None:
    """Each rule gives its own reason."""
    person = profile(1, **REASONS[reason])
    found = screen_batch(SCREENING, sent(person), nobody, NOW_MS).counts
    alike = {"A_INCOME_MISSING": "C_DATA_INCOMPLETE", "A_AFFORDABILITY": None}
    named = [name for name in found if name.startswith("reason:")]
    expected = alike.get(reason, reason)
    assert len(named) == 1
    assert expected is None or named == [f"reason:{expected}"]


BAD: dict[str, tuple[bytes | None, bytes | None]] = {
    "unreadable value": (b"a1_x", b"{"),
    "wrong_key key": (b"a1_" + b"0" * 32, msgspec.json.encode(profile(1))),
    "invalid annual_income_fen": (
        b"k", msgspec.json.encode(msgspec.to_builtins(profile(1)) | {"annual_income_fen": -1})),
    "invalid as_of": (
        profile(1).applicant_token.encode(), msgspec.json.encode(profile(1, as_of="x" * 20))),
    "oversize value": (b"k", b" " * 20_000),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_profile_is_named_and_the_rest_goes_on(fault: str) -> None:
    """One bad record among good ones: its place, reason and field; no value of it."""
    good = sent(profile(5), profile(6))
    taken = take([good[0], BAD[fault], good[1]])
    ((place, error),) = taken.bad
    assert (1, fault) == (place, f"{error.reason} {error.field}")
    assert str(BAD[fault][1]) not in error.detail
    assert {key for key, _ in good} == {key for key, said in taken.latest.items() if said}
    assert {BAD[fault][0]} == taken.unreadable


@pytest.mark.parametrize("fault", ["before", "alone", "mended"])
def test_an_unreadable_profile_takes_the_person_off(book: ScreenBook, fault: str) -> None:
    """An offer from a profile that cannot be read any more is withdrawn; a good one mends it."""
    run(book, profile(1))
    key = profile(1).applicant_token.encode()
    good, bad = sent(profile(1))[0], (key, b"{")
    batch = {"before": [good, bad], "alone": [bad], "mended": [bad, good]}[fault]
    outcome = screen_batch(SCREENING, batch, book.standing, NOW_MS)
    expected = [] if fault == "mended" else [(key, None, None, "profile_unreadable")]
    assert (expected, 1) == (outcome.changes, len(outcome.bad))


def test_a_key_too_long_for_any_token_stands_nowhere(book: ScreenBook) -> None:
    """A tombstone under a key the book could not hold stops nothing."""
    assert screen_batch(SCREENING, [(b"k" * 600, None)], book.standing, NOW_MS).changes == []
    book.write([(b"", Held(1, 2)), (b"k" * 600, Held(1, 2))])
    assert len(book) == 0


def test_two_profiles_in_one_value_do_not_pass() -> None:
    """A value may not smuggle a second profile into the batch's one parse."""
    one, two = (msgspec.json.encode(profile(n)) for n in (1, 2))
    key = profile(1).applicant_token.encode()
    taken = take([(key, one + b"," + two)])
    assert (taken.latest, len(taken.bad)) == ({key: None}, 1)
    halves = take([(key, one[:-1]), (key, one[-1:])])
    assert (halves.latest, len(halves.bad)) == ({key: None}, 2)


def test_a_book_of_another_cluster_is_dropped(tmp_path: Path) -> None:
    """Fingerprints of another whitelist tell nothing about this one."""
    for owner, held in (("one", 1), ("one", 1), ("two", 0)):
        kept = ScreenBook(tmp_path, owner)
        if owner == "one":
            kept.write([(b"k", Held(1, 2))], offset=7)
        assert (held, 7 * held) == (len(kept), kept.offset)
        kept.close()


def test_a_book_older_than_tombstones_are_kept_is_dropped(tmp_path: Path) -> None:
    """Who was taken off since may have left no trace; a book level a moment later is kept."""
    for oldest_ms, held in ((99, 1), (100, 0)):
        kept = ScreenBook(tmp_path / str(oldest_ms), "one", now_ms=1)
        kept.write([(b"k", Held(1, 2))], 7, (3, "made"), level_at_ms=100)
        kept.close()
        again = ScreenBook(tmp_path / str(oldest_ms), "one", oldest_ms, now_ms=1_000)
        assert (held, 7 * held, (3 * held, "made" * held)) == (
            len(again), again.offset, again.made_by,
        )  # fmt: skip
        again.close()


def test_a_price_outside_its_tier_is_refused(tmp_path: Path) -> None:
    """A screening policy that the decision policy contradicts stops at load, with the key."""
    text = SETTINGS.screening_file.read_text(encoding="utf-8")
    file = tmp_path / "screening.toml"
    file.write_text(text.replace('["tier_a", 600]', '["tier_a", 900]'), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"segments.farmer.prices.A"):
        load_screening_policy(file, POLICY)
