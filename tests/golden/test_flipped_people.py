"""Who somebody is changes no decision: ten thousand pairs that differ in nothing else.

A test that cannot fail proves nothing, so every way in is also opened on purpose: a
feature, a decoder or a screening that looks at the person is found out.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from policy_cases import POLICY
from proofs.cases import MODELS, NOW_MS, cases_of
from proofs.flips import FACTS, PERSON, WHO, flip, line_up, pair

from stream.batch import Row
from stream.config import load_settings
from stream.demo.terms import LoanCase
from stream.domain.application import Segment
from stream.domain.instant import from_ms
from stream.domain.lineup import Alias
from stream.domain.profile import CustomerProfile
from stream.pipeline import Pipeline
from stream.ports import Record
from stream.scoring import features
from stream.screening import columns
from stream.screening.batch import screen_batch
from stream.screening.columns import Columns
from stream.screening.policy import load_screening_policy
from stream.screening.screen import Screening

PAIRS = 10_000
FEW = 60
SCREENING = Screening(
    MODELS, POLICY, load_screening_policy(load_settings().screening_file, POLICY)[0]
)


@pytest.fixture(scope="module")
def cases() -> list[LoanCase]:
    """Farmers and merchants a third each, or as many as there are; the rest consumers."""
    found: list[LoanCase] = []
    for segment in (Segment.FARMER, Segment.MERCHANT):
        found += cases_of(segment).cases[: PAIRS // 3]
    return found + cases_of(Segment.CONSUMER).cases[: PAIRS - len(found)]


@pytest.fixture(scope="module")
def few(cases: list[LoanCase]) -> list[LoanCase]:
    return [case for case in cases[:: PAIRS // 200] if case.entry and case.bureau][:FEW]


@pytest.mark.parametrize("kind", list(WHO), ids=lambda kind: kind.__name__)
def test_every_field_is_a_fact_of_the_case_or_is_flipped(kind: type[msgspec.Struct]) -> None:
    """A field that is new to a record is in neither list, and somebody has to say which."""
    assert set() == WHO[kind] & FACTS[kind]
    assert set(kind.__struct_fields__) == WHO[kind] | FACTS[kind]


def test_ten_thousand_flipped_pairs_are_decided_alike(cases: list[LoanCase]) -> None:
    """Not one feature, score of any model, family, rule, reason or amount differs.

    Flipped are id (place, birth, sex), token, region, channel, every id, headers, and fields
    that a sender adds to application, consent, offer and bureau view.
    """
    assert len(cases) == PAIRS
    found = flip(cases)
    assert found.changed == []
    scored = [audit for audit in found.audits if audit.log_odds is not None]
    assert {"farmer", "merchant", "consumer"} == {audit.decision.segment for audit in scored}
    assert len(scored) > PAIRS / 2
    assert {"approve", "refer"} == {audit.decision.outcome for audit in found.audits}
    assert {Alias.CHAMPION, Alias.CHALLENGER} == {audit.standing.arm for audit in scored}
    assert all(len(audit.shadows) == 2 for audit in scored)


def test_a_pair_shares_its_arm_and_nothing_else() -> None:
    """Token, region, channel and whatever is said of the person differ within each pair."""
    for number in range(200):
        one, other = pair(number)
        assert [name for name in ("token", "region", "channel", "mark")
                      if getattr(one, name) == getattr(other, name)] == []  # fmt: skip
        assert [name for name in PERSON if one.person[name] == other.person[name]] == []


def _digit(text: object) -> float:
    """A proxy: some number that follows from a text."""
    return float(zlib.crc32(str(text).encode()) % 10)


LOOKS: dict[str, Callable[[Any, Any, Any], object]] = {
    "token": lambda app, _entry, _bureau: app.applicant_token,
    "region": lambda app, _entry, _bureau: app.region_code,
    "channel": lambda app, _entry, _bureau: app.channel,
    "application id": lambda app, _entry, _bureau: app.application_id,
    "consent id": lambda app, _entry, _bureau: app.authorization.authorization_id,
    "offer id asked for": lambda app, _entry, _bureau: app.offer_id,
    "offer id on the list": lambda _app, entry, _bureau: entry.offer_id,
    "token on the list": lambda _app, entry, _bureau: entry.applicant_token,
    "token at the bureau": lambda _app, _entry, bureau: bureau and bureau.applicant_token,
    "consent id at the bureau": lambda _app, _entry, bureau: bureau and bureau.authorization_id,
}


@contextmanager
def planted(patch: pytest.MonkeyPatch, look: Callable[[Any, Any, Any], object]) -> Iterator[None]:
    """The amount asked for, as a feature of every model, moved by a look at the person."""
    honest = features.FEATURES["requested_amount_fen"]
    with patch.context() as inner:
        inner.setitem(
            features.FEATURES,
            "requested_amount_fen",
            lambda app, entry, bureau: (
                honest(app, entry, bureau) + _digit(look(app, entry, bureau))
            ),
        )
        features._resolve.cache_clear()
        yield
    features._resolve.cache_clear()


@pytest.mark.parametrize("name", list(LOOKS))
def test_a_feature_that_looks_at_the_person_is_found(
    few: list[LoanCase], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Ten fen more by a digit of an id, and most pairs that reach a model are told apart."""
    with planted(monkeypatch, LOOKS[name]):
        found = flip(few)
    reached = sum(audit.log_odds is not None for audit in found.audits)
    assert 0 < reached / 2 < len(found.changed) <= reached


class _Leaky(Pipeline):
    """An engine whose decoder lets something about the person through to the income."""

    def __init__(self, look: Callable[[Record], object]) -> None:
        super().__init__(line_up(), POLICY)
        self._look = look

    def _decode(self, *given: Any) -> list[Row]:
        rows = super()._decode(*given)
        for row in rows:
            months = 12 + int(_digit(self._look(row.record)))
            row.app = msgspec.structs.replace(row.app, term_months=months)
        return rows


@pytest.mark.parametrize("name", PERSON)
def test_a_decoder_that_lets_the_person_through_is_found(few: list[LoanCase], name: str) -> None:
    """An unknown field of application, consent or declaration, or a header: each is flipped."""
    looks: tuple[Callable[[Record], object], ...] = (
        lambda record: json.loads(record.value or b"")[name],
        lambda record: json.loads(record.value or b"")["declared"][name],
        lambda record: json.loads(record.value or b"")["authorization"][name],
        lambda record: dict(record.headers)[f"x-{name}"],
    )
    for look in looks:
        assert flip(few[:20], _Leaky(look)).changed


@pytest.mark.parametrize("name", sorted(MODELS))
def test_no_input_says_who_somebody_is(name: str) -> None:
    """No model asks for an attribute of a person, a place, or anything made from an id."""
    named = " ".join(MODELS[name].manifest.feature_names)
    words = set(named.replace("_", " ").split())
    assert set() == words & {
        "age", "sex", "gender", "marital", "citizen", "nationality", "ethnic", "religion",
        "region", "state", "zip", "city", "address", "token", "id", "hash", "name", "mobile",
    }  # fmt: skip


def _profile(case: LoanCase, token: str) -> CustomerProfile:
    """What head office would know of the applicant; a farmer's and merchant's income is made up."""
    app, report = case.application, case.bureau
    known = {
        name: value
        for name in FACTS[CustomerProfile]
        if (value := getattr(report, name, None)) is not None and name != "as_of"
    }
    declared = app.declared
    income_fen = declared.annual_income_fen or 3 * app.requested_amount_fen
    return CustomerProfile(
        applicant_token=token,
        segment=app.segment,
        as_of=from_ms(NOW_MS),
        screening_consent=True,
        business_is_new=declared.business_is_new,
        sector=declared.sector,
        employment_years=-1 if declared.employment_years is None else declared.employment_years,
        **{**known, "annual_income_fen": income_fen},
    )


def _listed(cases: list[LoanCase], side: int) -> list[dict[str, Any] | str]:
    """Of each profile the offer it led to but for its names, or why none."""
    people = [pair(number)[side] for number in range(len(cases))]
    sent = []
    for case, who in zip(cases, people, strict=True):
        document = msgspec.to_builtins(_profile(case, who.token)) | who.person
        sent.append((who.token.encode(), msgspec.json.encode(document)))
    found: dict[bytes, dict[str, Any] | str] = {}
    for start in range(0, len(sent), 500):
        some = sent[start : start + 500]
        outcome = screen_batch(SCREENING, some, lambda keys: [None] * len(keys), NOW_MS)
        assert not outcome.bad
        for change in outcome.changes:
            entry = json.loads(change.value or b"")
            assert entry.pop("applicant_token")
            assert entry.pop("offer_id")
            found[change.key] = entry
    return [found.get(key, "not listed") for key, _ in sent]


def test_ten_thousand_flipped_profiles_get_the_same_offers(cases: list[LoanCase]) -> None:
    """Limit, grade and price of each pair are the same, or neither is listed."""
    one, other = _listed(cases, 0), _listed(cases, 1)
    assert one == other
    assert PAIRS / 10 < sum(each != "not listed" for each in one) < PAIRS


def test_a_screening_that_looks_at_the_person_is_found(
    cases: list[LoanCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted look at the token moves offers: the comparison above can fail."""

    def looks(people: Columns) -> Any:
        return columns.np.array([_digit(each.applicant_token) > 4 for each in people._profiles])

    monkeypatch.setitem(columns._MADE, "business_is_new", looks)
    monkeypatch.setitem(columns._MADE, "employment_years", lambda people: 10.0 * looks(people))
    some = cases[:: PAIRS // 500]
    assert _listed(some, 0) != _listed(some, 1)
