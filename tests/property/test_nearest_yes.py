"""The nearest yes, over many cases: what is proposed is approved when it is asked for."""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any

import msgspec
from builders import FakeViews, bureau, entry, record, token, under
from policy_cases import POLICY

from stream.audit.again import decide_instead
from stream.audit.at_hand import AtHand
from stream.audit.nearest import AMOUNT_STEPS, Finder
from stream.config import Settings
from stream.domain.decision import Audit, Outcome
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.edge.onnx_scorer import load_models
from stream.pipeline import Pipeline

CASES = int(os.environ.get("NEAREST_CASES", "100"))
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


def test_the_nearest_yes_is_approved_when_asked_for() -> None:
    """Under its own id, alone, in full; never more than was asked; no yes where nothing is amiss.

    NEAREST_CASES=10000 for the long run.
    """
    found: Counter[str] = Counter()
    for audit in _audits(CASES):
        app, decision, nearest = audit.application, audit.decision, FINDER.find(audit)
        assert app is not None
        if decision.outcome is Outcome.APPROVE and not decision.counter_offer:
            assert nearest is None
            continue
        found[f"{decision.outcome.value}, {'found' if nearest else 'none'}"] += 1
        if nearest is None:
            continue
        changes = nearest.words(app)
        assert changes
        assert nearest.amount_fen <= app.requested_amount_fen
        again = decide_instead(PIPELINE, audit, [msgspec.structs.replace(app, **changes)])
        (made,) = again.decisions
        assert (made.outcome, made.counter_offer) == (Outcome.APPROVE, False)
        assert (nearest.amount_fen, app.application_id) == (
            made.approved_amount_fen,
            made.application_id,
        )
    assert min(found[kind] for kind in ("refer, found", "refer, none", "approve, found")) > 0, found


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
