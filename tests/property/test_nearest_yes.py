"""The nearest yes, over many cases: what is proposed is approved when it is asked for."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from builders import FakeViews, bureau, entry, record, token, under
from policy_cases import POLICY
from proofs.nearest import Sent, fault, judge, wanted

from stream.audit.again import decide_instead
from stream.audit.at_hand import AtHand
from stream.audit.nearest import AMOUNT_STEPS, Finder, NearestYes
from stream.config import Settings
from stream.domain.application import Segment
from stream.domain.decision import Audit, Outcome
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.edge.onnx_scorer import load_models
from stream.pipeline import Pipeline

CASES = 12
MODELS = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
PIPELINE = Pipeline(MODELS, POLICY)
FINDER = Finder(AtHand(MODELS, POLICY))


def _audits(count: int) -> list[Audit]:
    """Decisions on applicants of every kind: poor and rich, small and large, clean and not."""
    chance, records, held = random.Random(20), [], []
    for number in range(count):
        name = token(number)
        limit_fen = chance.choice((500_000, 3_000_000, 8_000_000, 20_000_000))
        held.append(entry(applicant_token=name, limit_fen=limit_fen))
        view: dict[str, Any] = {
            "applicant_token": name,
            "accounts_past_due": int(number % 40 == 0),
            "inquiries_12m": chance.randrange(12),
            "utilisation_pct": chance.random() * 100,
        }
        held.append(bureau(**view))
        income_fen = chance.choice((1_500_000, 4_000_000, 9_000_000, 30_000_000))
        asked = {
            "application_id": f"app-{number:06d}",
            "applicant_token": name,
            "requested_amount_fen": chance.randrange(100_000, 25_000_000, 10_000),
            "term_months": chance.choice((6, 12, 24, 36, 60, 72)),
            "declared": {"annual_income_fen": income_fen, "employment_years": number % 12},
        }
        records.append(record(**asked))
    drafts = {0: Draft(Ledger())}
    batch = PIPELINE.run(records, drafts, under(FakeViews(*held)))
    assert not batch.buried
    return [audit for _, audit in batch.audits]


@pytest.mark.parametrize("segment", list(Segment))
def test_the_nearest_yes_is_approved_when_asked_for(segment: Segment) -> None:
    """Sent anew under its own id it is approved in full, for real loans of every segment.

    `make nearest` asks of ten thousand.
    """
    _, cases = wanted(segment, CASES)
    assert len(cases) == CASES
    told = judge(cases)
    assert [name for name in told if name.startswith("fault")] == []
    assert min(told["referred, found"], told["less offered, found"]) > 0, told


def test_a_yes_that_is_none_is_found_out() -> None:
    """What was asked first, and a yen more than it, are no nearest yes: the proof can fail."""
    _, (case, *_) = wanted(Segment.MERCHANT, 1)
    app = case.application
    for amount_fen, words in (
        (app.requested_amount_fen, "nothing changed"),
        (app.requested_amount_fen + POLICY.amount_step_fen, "more than was asked"),
        (app.requested_amount_fen - 1, "refer"),
    ):
        found = NearestYes(amount_fen, app.term_months, 999)
        decision = Sent().decides(case, found)
        assert fault(case, found, decision).startswith(words)


def test_nothing_nearer_on_the_grid_is_approved() -> None:
    """Every smaller cut of the amount alone, at the term asked for, is tried and refused."""
    for audit in _audits(30):
        app, nearest = audit.application, FINDER.find(audit)
        if app is None or nearest is None:
            continue
        moved = abs(nearest.term_months - app.term_months) / app.term_months
        far = 1 - nearest.amount_fen / app.requested_amount_fen + moved
        step = POLICY.amount_step_fen
        nearer = [
            amount - amount % step
            for part in range(AMOUNT_STEPS)
            if (amount := app.requested_amount_fen * (AMOUNT_STEPS - part) // AMOUNT_STEPS)
            and 1 - (amount - amount % step) / app.requested_amount_fen < far - 1e-9
        ]
        others = [
            msgspec.structs.replace(app, application_id=f"n-{n:04d}-0000", requested_amount_fen=a)
            for n, a in enumerate(nearer)
        ]
        made = decide_instead(PIPELINE, audit, others).decisions
        in_full = [each for each in made if not each.counter_offer]
        assert not [each for each in in_full if each.outcome is Outcome.APPROVE]
