"""What is said after an application: events release or refer, a reviewer's answer settles once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from builders import HEADERS, NOW_MS, FakeViews, bureau, entry, record, token, under
from policy_cases import POLICY, TOKEN

from stream.batch import Batch
from stream.config import Settings
from stream.domain.application_event import EventKind
from stream.domain.decision import Outcome
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.topics import EVENTS, REVIEWS
from stream.edge.onnx_scorer import load_models
from stream.pipeline import Pipeline
from stream.ports import Record

PIPELINE = Pipeline(load_models(Settings().models_dir, ("farmer", "merchant", "consumer")), POLICY)
SAFE = bureau(utilisation_pct=10.0)
VIEWS = FakeViews(entry(), SAFE)
APP, OTHER = "app-00000001", "app-00000002"
STRANGER = token(77)
BEFORE, AFTER = "2026-11-24T07:58:59Z", "2026-11-24T08:00:30Z"


def _app(application_id: str = APP, **changes: Any) -> Record:
    declared = {"annual_income_fen": 20_000_000, "employment_years": 10}
    return record(application_id=application_id, declared=declared, **changes)


def _said(topic: str, **fields: Any) -> Record:
    value = msgspec.json.encode({"applicant_token": TOKEN, **fields})
    return Record(topic, 0, 0, TOKEN.encode(), value, HEADERS, NOW_MS)


def _event(kind: str, application_id: str | None = APP, at: str = AFTER) -> Record:
    named = {"application_id": application_id} if application_id else {}
    return _said(EVENTS, event_id=f"event-{kind}", kind=kind, occurred_at=at, **named)


def _answer(decision_id: str, **changes: Any) -> Record:
    fields = {
        "review_id": "review-00000001",
        "decision_id": decision_id,
        "application_id": APP,
        "answer": "approve",
        "approved_amount_fen": 3_000_000,
        "reviewer_id": "reviewer-0042",
        "answered_at": AFTER,
    }
    return _said(REVIEWS, **{**fields, **changes})


def _run(ledger: Ledger, *records: Record, views: FakeViews = VIEWS) -> Batch:
    draft = Draft(ledger)
    batch = PIPELINE.run(records, {0: draft}, under(views))
    draft.apply(ledger)
    return batch


def _referred(ledger: Ledger) -> str:
    """A referral in the ledger that a reviewer may override; its decision id."""
    (decision,) = _run(ledger, _app(decide_by=AFTER)).decisions
    assert decision.referral is not None
    assert decision.referral.overridable
    return decision.decision_id


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize(
    ("event", "code"),
    [
        (_event("cancel"), "C_CANCELLED"),
        (_event("expiry"), "C_CANCELLED"),
        (_event("consent_revoked", None), "C_CONSENT_REVOKED"),
        (_event("human_review_request"), "C_HUMAN_REQUESTED"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_event_before_the_decision_refers(event: Record, code: str, apart: bool) -> None:
    """Whether it was committed earlier or comes in the same batch, behind the application even."""
    ledger = Ledger()
    batches = [[event], [_app()]] if apart else [[_app(), event]]
    decisions = [d for each in batches for d in _run(ledger, *each).decisions]
    assert [[code]] == [[reason.code for reason in d.reasons] for d in decisions]


def _astray(kind: str) -> Record:
    """An event of another person's that names the application of ours."""
    fields = {"event_id": "event-astray", "kind": kind, "application_id": APP}
    value = msgspec.json.encode({"applicant_token": STRANGER, "occurred_at": AFTER, **fields})
    return Record(EVENTS, 0, 1, STRANGER.encode(), value, HEADERS, NOW_MS)


@pytest.mark.parametrize("kind", EventKind)
@pytest.mark.parametrize("order", ["before", "with", "after"])
def test_an_event_of_somebody_else_changes_nothing_of_an_application(kind: str, order: str) -> None:
    """Before the application, in its batch or after it: approved, promised, and free to cancel."""
    ledger, astray, app = Ledger(), _astray(kind), _app(requested_amount_fen=8_000_000)
    batches = {"before": [[astray], [app]], "with": [[app, astray]], "after": [[app], [astray]]}
    made = [_run(ledger, *each) for each in batches[order]]
    assert [d.outcome for batch in made for d in batch.decisions] == [Outcome.APPROVE]
    assert (sum(b.events for b in made), [dead for b in made for dead in b.buried]) == (1, [])
    assert ledger.exposure_fen(TOKEN) == 8_000_000
    _run(ledger, _event("cancel"))
    assert ledger.exposure_fen(TOKEN) == 0


@pytest.mark.parametrize("kind", EventKind)
def test_an_event_of_somebody_else_leaves_a_referral_to_its_reviewer(kind: str) -> None:
    """The reviewer's approval passes."""
    ledger = Ledger()
    first = _referred(ledger)
    _run(ledger, _astray(kind))
    (decision,) = _run(ledger, _answer(first)).decisions
    assert decision.outcome is Outcome.APPROVE


def test_consent_given_anew_counts() -> None:
    """An authorisation signed after the withdrawal is decided on."""
    (decision,) = _run(Ledger(), _event("consent_revoked", None, at=BEFORE), _app()).decisions
    assert decision.outcome is Outcome.APPROVE


@pytest.mark.parametrize("kind", ["cancel", "expiry"])
def test_a_release_frees_what_was_promised_once(kind: str) -> None:
    """After it the next application may have the whole offer again; a second one frees no more."""
    ledger = Ledger()
    _run(ledger, _app(requested_amount_fen=8_000_000))
    assert ledger.exposure_fen(TOKEN) == 8_000_000
    _run(ledger, _event(kind))
    _run(ledger, _event(kind), _event("cancel"))
    assert ledger.exposure_fen(TOKEN) == 0
    (decision,) = _run(ledger, _app(OTHER)).decisions
    assert decision.approved_amount_fen == 5_000_000


def test_an_approval_by_a_reviewer_is_a_second_decision() -> None:
    """Stage 2, of the reviewer's amount, promised like any other."""
    ledger = Ledger()
    first = _referred(ledger)
    (decision,) = _run(ledger, _answer(first)).decisions
    assert decision.outcome is Outcome.APPROVE
    assert (decision.stage, decision.approved_amount_fen) == (2, 3_000_000)
    assert decision.decision_id != first
    assert ledger.exposure_fen(TOKEN) == 3_000_000


def test_a_referral_is_settled_once() -> None:
    """The same answer again is counted; another review of it is a dead letter."""
    ledger = Ledger()
    first = _referred(ledger)
    batch = _run(ledger, _answer(first), _answer(first), _answer(first, review_id="review-2"))
    assert (len(batch.decisions), batch.duplicates) == (1, 1)
    assert [(e.reason, e.field) for _, e in batch.buried] == [("conflict", "review_id")]


@pytest.mark.parametrize(
    ("changes", "views", "code"),
    [
        ({"answer": "decline", "approved_amount_fen": 0}, VIEWS, "H_DECLINED"),
        ({"approved_amount_fen": 5_000_001}, VIEWS, "R_AMOUNT_OVER_CAP"),
        ({"approved_amount_fen": 99_999}, VIEWS, "R_AMOUNT_UNDER_MIN"),
        ({}, FakeViews(SAFE), "W_NOT_LISTED"),
        ({}, FakeViews(entry(conclusion="suspended"), SAFE), "W_OFFER_SUSPENDED"),
        ({}, FakeViews(entry(limit_fen=2_999_999), SAFE), "E_EXPOSURE"),
        ({}, FakeViews(entry(), fresh_at_ms=NOW_MS - 900_001), "T_STORE_STALE"),
    ],
)
def test_an_answer_that_no_longer_holds_refers(
    changes: dict[str, Any], views: FakeViews, code: str
) -> None:
    """A decline, or an approval that offer, cap or exposure forbid: never another amount."""
    ledger = Ledger()
    (decision,) = _run(ledger, _answer(_referred(ledger), **changes), views=views).decisions
    assert (decision.outcome, decision.approved_amount_fen) == (Outcome.REFER, 0)
    assert [code] == [reason.code for reason in decision.reasons]


@pytest.mark.parametrize(
    ("event", "code"),
    [(_event("cancel"), "C_CANCELLED"), (_event("consent_revoked", None), "C_CONSENT_REVOKED")],
)
def test_an_answer_after_a_withdrawal_refers(event: Record, code: str) -> None:
    """What the applicant took back, no reviewer approves."""
    ledger = Ledger()
    first = _referred(ledger)
    (decision,) = _run(ledger, event, _answer(first)).decisions
    assert [code] == [reason.code for reason in decision.reasons]


def test_an_answer_counts_what_was_promised_since() -> None:
    """Another channel's approval in between leaves less than the reviewer gave."""
    ledger = Ledger()
    first = _referred(ledger)
    _run(ledger, _app(OTHER, requested_amount_fen=6_000_000))
    (decision,) = _run(ledger, _answer(first)).decisions
    assert [reason.code for reason in decision.reasons] == ["E_EXPOSURE"]


def test_an_answer_to_nothing_is_a_dead_letter() -> None:
    """No referral, an approval, or another decision's id: nothing is decided."""
    ledger = Ledger()
    batch = _run(ledger, _answer("d_0"))
    _run(ledger, _app())
    batch_2 = _run(ledger, _answer("d_0"))
    found = [(e.reason, e.field) for each in (batch, batch_2) for _, e in each.buried]
    assert found == [("invalid", "decision_id")] * 2
    assert not batch.decisions + batch_2.decisions
