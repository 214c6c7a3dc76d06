"""Which reviewers' answers are answered, counted or set aside."""

from __future__ import annotations

from typing import Any

import msgspec
from builders import NOW_MS, FakeViews, application, bureau, entry, raw, record, token, under
from policy_cases import POLICY, TOKEN

from stream.batch import Batch
from stream.codec.keys import decision_id
from stream.config import Settings
from stream.domain.decision import Outcome
from stream.domain.draft import Draft
from stream.domain.instant import from_ms
from stream.domain.ledger import Ledger
from stream.domain.topics import REVIEWS
from stream.edge.onnx_scorer import load_models
from stream.pipeline import Pipeline
from stream.ports import Record

_MODELS = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
_LATE = record(submitted_at=from_ms(NOW_MS - 60_000), decide_by=from_ms(NOW_MS - 30_000))
APPLICATION = application()["application_id"]


def _run(ledger: Ledger, *records: Record) -> Batch:
    """One committed batch of one partition."""
    drafts = {0: Draft(ledger)}
    views = FakeViews(entry(), entry(applicant_token=token(2)), bureau())
    batch = Pipeline(_MODELS, POLICY).run(records, drafts, under(views))
    drafts[0].apply(ledger)
    return batch


def _answer(*, key: str = TOKEN, **changes: Any) -> Record:
    value = {
        "review_id": "review-00000001",
        "decision_id": decision_id(TOKEN, APPLICATION),
        "application_id": APPLICATION,
        "applicant_token": TOKEN,
        "answer": "approve",
        "approved_amount_fen": 1_000_000,
        "reviewer_id": "reviewer-01",
        "answered_at": from_ms(NOW_MS),
        **changes,
    }
    return raw(msgspec.json.encode(value), key=key.encode())._replace(topic=REVIEWS)


def _referred() -> Ledger:
    ledger = Ledger()
    [decision] = _run(ledger, _LATE).decisions
    assert decision.outcome is Outcome.REFER
    return ledger


def _buried(batch: Batch) -> list[tuple[str, str]]:
    return [(error.reason, error.field) for _, error in batch.buried]


def test_an_answer_has_one_second_stage_decision() -> None:
    """Approved as the reviewer said, under an id of its own, with the answer in the audit."""
    ledger = _referred()
    batch = _run(ledger, _answer())
    [decision] = batch.decisions
    assert (decision.stage, decision.outcome) == (2, Outcome.APPROVE)
    assert decision.decision_id == decision_id(TOKEN, APPLICATION, stage=2)
    assert batch.audits[0][1].referral_outcome is not None
    assert ledger.exposure_fen(TOKEN) == 1_000_000


def test_the_same_answer_again_is_counted_and_not_answered() -> None:
    """In the same batch and in a later one."""
    ledger = _referred()
    batch = _run(ledger, _answer(), _answer())
    assert (len(batch.decisions), batch.duplicates) == (1, 1)
    batch = _run(ledger, _answer())
    assert (batch.decisions, batch.duplicates, batch.buried) == ([], 1, [])
    assert ledger.exposure_fen(TOKEN) == 1_000_000


def test_another_answer_to_the_same_referral_is_set_aside() -> None:
    """The first counts, also when it was a decline."""
    ledger = _referred()
    _run(ledger, _answer(answer="decline", approved_amount_fen=0))
    batch = _run(ledger, _answer(review_id="review-00000002"))
    assert batch.decisions == []
    assert _buried(batch) == [("conflict", "review_id")]
    assert ledger.exposure_fen(TOKEN) == 0


def test_an_answer_to_no_referral_is_set_aside() -> None:
    """Never decided, decided by the machine, or under another decision's id."""
    expected = [("invalid", "decision_id")]
    assert expected == _buried(_run(Ledger(), _answer()))
    assert expected == _buried(_run(_referred(), _answer(decision_id="d_other_000000")))
    approved = Ledger()
    views = FakeViews(entry(), bureau(utilisation_pct=10.0))
    drafts = {0: Draft(approved)}
    rich = record(declared={"annual_income_fen": 20_000_000, "employment_years": 10})
    [decision] = Pipeline(_MODELS, POLICY).run([rich], drafts, under(views)).decisions
    assert decision.outcome is Outcome.APPROVE
    drafts[0].apply(approved)
    assert expected == _buried(_run(approved, _answer()))


def test_an_answer_in_another_persons_name_does_not_settle_the_referral() -> None:
    """It is set aside, and the right answer still counts."""
    ledger = _referred()
    other = token(2)
    batch = _run(ledger, _answer(key=other, applicant_token=other))
    assert _buried(batch) == [("invalid", "decision_id")]
    assert len(_run(ledger, _answer()).decisions) == 1
    assert ledger.exposure_fen(other) == 0


def test_a_referral_and_its_answer_in_one_batch_are_both_decided() -> None:
    """Read again after a failure, both may come at once: the referral is decided first."""
    batch = _run(Ledger(), _answer(), _LATE)
    assert [decision.stage for decision in batch.decisions] == [1, 2]
