"""Audit records of a real run: events, a stop, a tight breaker, referrals answered by reviewers."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from builders import NOW_MS, FakeViews, at_home, bureau, entry, record, token, under
from policy_cases import POLICY

from stream.codec.decision_v1 import decode_audit
from stream.config import Settings
from stream.domain.control import Action, Command, Scope, Switches
from stream.domain.decision import Audit, Outcome
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.topics import AUDIT, EVENTS, REVIEWS
from stream.edge.onnx_scorer import load_models
from stream.lineup import Lineup, Trial
from stream.ops.audit_read import Kept, line_of
from stream.pipeline import Pipeline
from stream.ports import FloatMatrix, Output, Record, Scorer

MODELS = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
PIPELINE = Pipeline(MODELS, POLICY)
PARTITIONS, PEOPLE = 3, 300
SUBMITTED = "2026-11-24T08:00:00Z"


def people() -> tuple[list[Record], FakeViews]:
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
    for index, audit in enumerate(map(audit_of, outputs)):
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


def audit_of(output: Output) -> Audit:
    """What an output on `decision.audit` says."""
    return decode_audit(output.value or b"")


@cache
def audits() -> list[Output]:
    """Outputs on `decision.audit`, in the order of the run."""
    records, views = people()
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


def audits_of_a_clock_set_back(back_ms: int) -> list[Output]:
    """Applications and reviewers' answers decided by an engine whose clock is late by so much."""
    records, views = people()
    now_ms, ledgers = NOW_MS - back_ms, [Ledger() for _ in range(PARTITIONS)]
    home = [at_home(each, PARTITIONS) for each in records]
    first = _decide(ledgers, home, views, Switches(), now_ms)
    return first + _decide(ledgers, _reviews(first), views, Switches(), now_ms)


def _decide(
    ledgers: list[Ledger],
    batch: list[Record],
    views: FakeViews,
    switches: Switches,
    now_ms: int = NOW_MS,
) -> list[Output]:
    drafts = {number: Draft(ledger) for number, ledger in enumerate(ledgers)}
    circumstances = under(views, now_ms, partitions=PARTITIONS, switches=switches)
    done = PIPELINE.run(batch, drafts, circumstances)
    assert not done.buried, done.buried[0][1]
    for number, draft in drafts.items():
        draft.apply(ledgers[number])
    return [output for output in done.outputs if output.topic == AUDIT]


def exported(file: Path, values: list[bytes]) -> Path:
    """An export that holds these values, one after another on one partition."""
    headers = [("ce_type", "loan.decision.audit.v1")]
    kept = [Kept(AUDIT, 0, number, b"", value, headers) for number, value in enumerate(values)]
    file.write_text("".join(line_of(each) + "\n" for each in kept), encoding="utf-8")
    return file


class Harsher:
    """A model of another hash: every family says a little more against everyone."""

    def __init__(self, other: Scorer, more: float) -> None:
        self._other, self._more = other, np.float32(more)
        self.manifest, self.manifest_sha256 = other.manifest, "f" * 64

    def score(self, rows: FloatMatrix) -> FloatMatrix:
        """The other's outputs and more."""
        return self._other.score(rows) + self._more


def in_two_arms(other: Scorer) -> list[bytes]:
    """Audit records of the same people, half decided by `other`, which watches the rest too."""
    lineup = Lineup(MODELS["consumer"], Trial(other, 5_000, "s1"), other, told=True)
    records, views = people()
    drafts = {number: Draft(Ledger()) for number in range(PARTITIONS)}
    home = [at_home(each, PARTITIONS) for each in records]
    pipeline = Pipeline({**MODELS, "consumer": lineup}, POLICY)
    run = pipeline.run(home, drafts, under(views, partitions=PARTITIONS))
    return [each.value or b"" for each in run.outputs if each.topic == AUDIT]
