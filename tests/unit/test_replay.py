"""Decisions made again from their audit records alone, and what replay says when they differ."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from builders import FakeViews, at_home, bureau, entry, record, token, under
from policy_cases import POLICY

from stream.audit.replay import Replayer, Verdict
from stream.codec.decision_v1 import DEAD_LETTER_AUDITED, decode_audit
from stream.config import Settings
from stream.domain.control import Action, Command, Scope, Switches
from stream.domain.decision import Outcome
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.topics import AUDIT, EVENTS, REVIEWS
from stream.edge.onnx_scorer import load_models
from stream.pipeline import Pipeline
from stream.ports import Output, Record

MODELS = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
PIPELINE = Pipeline(MODELS, POLICY)
REPLAYER = Replayer(MODELS, POLICY)
PARTITIONS, PEOPLE = 3, 300
SUBMITTED = "2026-11-24T08:00:00Z"


def _people() -> tuple[list[Record], FakeViews]:
    """Applications of many kinds; every third person applies a second time."""
    chance, records, held = random.Random(4), [], []
    for number in range(PEOPLE):
        name = token(number)
        if number % 11:
            limit_fen = chance.choice((500_000, 3_000_000, 8_000_000))
            held.append(entry(applicant_token=name, limit_fen=limit_fen))
        if number % 13:
            view: dict[str, Any] = {
                "applicant_token": name,
                "accounts_past_due": int(number % 17 == 0),
                "inquiries_12m": chance.randrange(9),
                "utilisation_pct": chance.random() * 100,
            }
            held.append(bureau(**view))
        for again in range(1 + (number % 3 == 0)):
            income_fen = chance.choice((6_000_000, 12_000_000, 20_000_000))
            records.append(
                record(
                    application_id=f"app-{number:06d}-{again}",
                    applicant_token=name,
                    requested_amount_fen=chance.choice((1_000_000, 5_000_000)),
                    declared={"annual_income_fen": income_fen, "employment_years": number % 12},
                )
            )
    return records, FakeViews(*held)


def _on(topic: str, name: str, **facts: Any) -> Record:
    value = msgspec.json.encode({"applicant_token": name, **facts})
    sent = record(applicant_token=name)._replace(topic=topic, value=value)
    return at_home(sent, PARTITIONS)


def _events(kind: str, number: int) -> Record:
    name, application = token(number), f"app-{number:06d}-0"
    facts = {"event_id": f"event-{number:06d}", "kind": kind, "occurred_at": SUBMITTED}
    return _on(EVENTS, name, application_id=application, **facts)


def _reviews(outputs: list[Output]) -> list[Record]:
    """A reviewer's answer to every referral, one in four a decline."""
    answers = []
    for index, audit in enumerate(map(_audit_of, outputs)):
        decision = audit.decision
        if decision.outcome is Outcome.APPROVE:
            continue
        facts = {
            "review_id": f"review-{index:06d}",
            "decision_id": decision.decision_id,
            "application_id": decision.application_id,
            "answer": "approve" if index % 4 else "decline",
            "approved_amount_fen": 1_000_000 if index % 4 else 0,
            "reviewer_id": "reviewer-01",
            "answered_at": SUBMITTED,
        }
        answers.append(_on(REVIEWS, decision.applicant_token, **facts))
    return answers


def _audit_of(output: Output) -> Any:
    return decode_audit(output.value or b"")


def _audits() -> list[Output]:
    """Audit records of a real run: events, a stop, a tight breaker, referrals answered."""
    records, views = _people()
    stop = Command(
        command_id="cmd-0001", action=Action.STOP, scope=Scope.CHANNEL, name="h5",
        reason="test", issued_at=SUBMITTED, issued_by="op",
    )  # fmt: skip
    stopped = Switches().with_command(stop, 0)
    ledgers = [Ledger() for _ in range(PARTITIONS)]
    events = [_events(kind, n) for n, kind in ((5, "cancel"), (6, "human_review_request"))]
    events += [_events("consent_revoked", 7)]
    waiting = [at_home(each, PARTITIONS) for each in records]
    outputs: list[Output] = []
    batches = [events + waiting[:40], waiting[40:200], waiting[200:]]
    for number, batch in enumerate(batches):
        outputs += _decide(ledgers, batch, views, stopped if number == 1 else Switches())
    return outputs + _decide(ledgers, _reviews(outputs), views, Switches())


def _decide(
    ledgers: list[Ledger], batch: list[Record], views: FakeViews, switches: Switches
) -> list[Output]:
    drafts = {number: Draft(ledger) for number, ledger in enumerate(ledgers)}
    done = PIPELINE.run(batch, drafts, under(views, partitions=PARTITIONS, switches=switches))
    assert not done.buried, done.buried[0][1]
    for number, draft in drafts.items():
        draft.apply(ledgers[number])
    return [output for output in done.outputs if output.topic == AUDIT]


AUDITS = _audits()


def test_every_decision_of_a_run_is_made_again_bit_for_bit() -> None:
    """Approvals, counter-offers, referrals of every kind and second stages, from audit alone."""
    replayed = [REPLAYER.replay(output.value or b"") for output in AUDITS]
    different = [each for each in replayed if each.verdict is not Verdict.IDENTICAL]
    assert different == []
    made = [_audit_of(output) for output in AUDITS]
    assert len(made) > 400
    codes = {reason.code for audit in made for reason in audit.decision.reasons}
    assert len(codes) > 8, codes
    assert {1, 2} == {audit.decision.stage for audit in made}
    assert {Outcome.APPROVE, Outcome.REFER} == {audit.decision.outcome for audit in made}
    assert any(audit.standing.exposure_fen for audit in made)
    assert any(audit.standing.cancelled for audit in made)
    assert any(audit.standing.human_asked for audit in made)


def _approved() -> bytes:
    found = (o.value for o in AUDITS if _audit_of(o).decision.outcome is Outcome.APPROVE)
    return next(found) or b""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("decision.approved_amount_fen", 999_900),
        ("decision.apr_bps", 1),
        ("decision.pd", 0.5),
        ("log_odds", 0.25),
        ("rules[0].result", "refer"),
    ],
)
def test_an_answer_that_does_not_follow_is_named(path: str, value: Any) -> None:
    """One value of the answer changed: replay says which field."""
    document = msgspec.json.decode(_approved())
    *parents, last = path.replace("[0]", ".0").split(".")
    node = document
    for step in parents:
        node = node[int(step)] if step.isdigit() else node[step]
    node[last] = value
    replayed = REPLAYER.replay(msgspec.json.encode(document))
    assert (Verdict.DIFFERENT, (path,)) == (replayed.verdict, replayed.fields)


def test_an_input_that_gives_another_answer_is_named() -> None:
    """The offer's limit lowered in the record: the amount does not follow from it."""
    document = msgspec.json.decode(_approved())
    document["whitelist_entry"]["limit_fen"] = 300_000
    replayed = REPLAYER.replay(msgspec.json.encode(document))
    assert Verdict.DIFFERENT is replayed.verdict
    assert "decision.outcome" in replayed.fields or "decision.approved_amount_fen" in (
        replayed.fields
    )


def test_another_spelling_of_the_same_decision_is_not_the_same_bytes() -> None:
    """Equal in every field, but not what the engine wrote."""
    spaced = _approved().replace(b'{"decision":{"', b'{"decision":{ "', 1)
    replayed = REPLAYER.replay(spaced)
    assert (replayed.verdict, replayed.fields) == (Verdict.DIFFERENT, ("the decision's bytes",))


@pytest.mark.parametrize(
    ("part", "verdict"), [("policy", Verdict.OTHER_POLICY), ("model", Verdict.OTHER_MODEL)]
)
def test_another_policy_or_model_is_said_and_not_compared(part: str, verdict: Verdict) -> None:
    """A decision of other days is no mismatch: its policy and model are to be found first."""
    document = msgspec.json.decode(_approved())
    document["decision"][part]["sha256"] = "f" * 64
    replayed = REPLAYER.replay(msgspec.json.encode(document))
    assert verdict is replayed.verdict
    assert "f" * 16 in replayed.detail


def test_what_is_no_decision_is_told_apart() -> None:
    """Dead letters are passed over by their type; other bytes are unreadable."""
    assert Verdict.NOT_A_DECISION is REPLAYER.replay(b"{}", DEAD_LETTER_AUDITED).verdict
    assert Verdict.UNREADABLE is REPLAYER.replay(b"{}").verdict
    assert Verdict.UNREADABLE is REPLAYER.replay(b"\xff").verdict
