"""Who somebody is changes no decision: ten thousand pairs that differ in nothing else."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import msgspec
import pytest
from builders import FakeViews, raw, under
from policy_cases import POLICY

from stream.config import Settings
from stream.demo.loans import load_loans
from stream.demo.synthetic import synthetic_cases
from stream.demo.terms import LoanCase, Run
from stream.domain.decision import Decision
from stream.domain.draft import Draft
from stream.domain.instant import to_ms
from stream.domain.ledger import Ledger
from stream.edge.onnx_scorer import load_models
from stream.pipeline import Pipeline

PAIRS = 10_000
NOW_MS = to_ms("2026-11-25T00:00:00Z")
MODELS = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
PIPELINE = Pipeline(MODELS, POLICY)
IDENTITY = {"decision_id", "application_id", "application_sha256", "applicant_token"}
FEATURES_OF_PEOPLE = ("sex", "age", "marital_status", "ethnicity", "id_number_hash", "region_code")
REGIONS = ("110000", "310000", "440000", "540000", "650000")


@pytest.fixture(scope="module")
def cases() -> list[LoanCase]:
    run = Run(now_ms=NOW_MS)
    made_up = synthetic_cases(run, 2_000)
    return [*load_loans(run)[: PAIRS - len(made_up)], *made_up]


def _other(text: str) -> str:
    """The token somebody else's id would have given, of the same form."""
    return f"a1_{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _decided(cases: list[LoanCase], *, flipped: bool) -> list[Decision]:
    chance, records, held = random.Random(5), [], []
    for number, case in enumerate(cases):
        document: dict[str, Any] = msgspec.to_builtins(case.application)
        mine = document["applicant_token"]
        token = _other(mine) if flipped else mine
        people = dict(zip(FEATURES_OF_PEOPLE, _person(chance, flipped=flipped), strict=True))
        document |= {"applicant_token": token, "application_id": f"app-{flipped:d}-{number:06d}"}
        declared = document["declared"] | {"sex": people["sex"], "age": people["age"]}
        value = msgspec.json.encode(document | people | {"declared": declared})
        records.append(raw(value, key=token.encode(), offset=number)._replace(timestamp_ms=NOW_MS))
        parts = [part for part in (case.entry, case.bureau) if part is not None]
        held += [msgspec.structs.replace(part, applicant_token=token) for part in parts]
    views = FakeViews(*held, fresh_at_ms=NOW_MS)
    batch = PIPELINE.run(records, {0: Draft(Ledger())}, under(views, NOW_MS))
    return batch.decisions


def _person(chance: random.Random, *, flipped: bool) -> tuple[str, int, str, str, str, str]:
    """Sex, age, status, ethnicity, digest and region; the flipped one shares none of them."""
    sex, age, place = chance.randrange(2), chance.randrange(18, 50), chance.randrange(len(REGIONS))
    return (
        ("female", "male")[sex ^ flipped],
        age + 35 * flipped,
        ("married", "single")[flipped],
        ("han", "other")[flipped],
        hashlib.sha256(f"{age}{flipped}".encode()).hexdigest(),
        REGIONS[(place + flipped) % len(REGIONS)],
    )


def _said(decision: Decision) -> dict[str, Any]:
    """All that a decision says but whose it is."""
    whole = msgspec.to_builtins(decision)
    return {name: value for name, value in whole.items() if name not in IDENTITY}


def test_ten_thousand_flipped_pairs_are_decided_alike(cases: list[LoanCase]) -> None:
    """Another id, token, sex, age, status, ethnicity and region: not one field changes."""
    as_they_are, flipped = _decided(cases, flipped=False), _decided(cases, flipped=True)
    assert PAIRS == len(as_they_are) == len(flipped)
    changed = [
        number
        for number, pair in enumerate(zip(as_they_are, flipped, strict=True))
        if _said(pair[0]) != _said(pair[1])
    ]
    assert changed == []
    scored = [decision for decision in as_they_are if decision.score_points is not None]
    assert {"farmer", "merchant", "consumer"} == {decision.segment for decision in scored}
    assert len(scored) > PAIRS / 2
    assert {"approve", "refer"} == {decision.outcome for decision in as_they_are}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_no_input_says_who_somebody_is(name: str) -> None:
    """No model asks for an attribute of a person, a place, or anything made from an id."""
    named = " ".join(MODELS[name].manifest.feature_names)
    words = set(named.replace("_", " ").split())
    assert set() == words & {
        "age", "sex", "gender", "marital", "citizen", "nationality", "ethnic", "religion",
        "region", "state", "zip", "city", "address", "token", "id", "hash", "name", "mobile",
    }  # fmt: skip
