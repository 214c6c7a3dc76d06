"""Decisions made again from their audit records alone, and what replay says when they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from audit_cases import (
    MODELS,
    Harsher,
    audit_of,
    audits,
    audits_of_a_clock_set_back,
    in_two_arms,
)
from model_cases import MODELS as SHIPPED
from model_cases import TRUSTED as RELEASED
from model_cases import copied
from policy_cases import POLICY

from stream.audit.at_hand import AtHand, Older
from stream.audit.replay import Replayer
from stream.audit.verdict import BYTES, Verdict
from stream.codec.decision_v1 import decode_audit, encode_dead_letter_audit
from stream.domain.application import Segment
from stream.domain.decision import Outcome
from stream.domain.topics import APPLICATIONS
from stream.edge.onnx_scorer import OnnxScorer
from stream.errors import PoisonError
from stream.ports import Record

REPLAYER = Replayer(AtHand(MODELS, POLICY))
AUDITS = audits()


def test_every_decision_of_a_run_is_made_again_bit_for_bit() -> None:
    """Approvals, counter-offers, referrals of every kind and second stages, from audit alone."""
    replayed = [REPLAYER.replay(output.value or b"") for output in AUDITS]
    different = [each for each in replayed if each.verdict is not Verdict.MATCH]
    assert different == []
    made = [audit_of(output) for output in AUDITS]
    assert len(made) > 400
    codes = {reason.code for audit in made for reason in audit.decision.reasons}
    assert len(codes) > 8, codes
    assert {1, 2} == {audit.decision.stage for audit in made}
    assert {Outcome.APPROVE, Outcome.REFER} == {audit.decision.outcome for audit in made}
    assert any(audit.standing.exposure_fen for audit in made)
    assert any(audit.standing.cancelled for audit in made)
    assert any(audit.standing.human_asked for audit in made)


def test_what_an_engine_with_a_late_clock_decided_is_made_again() -> None:
    """Submitted and answered an hour after the engine's own time, and not set aside for it."""
    late = audits_of_a_clock_set_back(3_600_000)
    assert {1, 2} == {audit_of(output).decision.stage for output in late}
    assert {Verdict.MATCH} == _verdicts(REPLAYER, [output.value or b"" for output in late])


def _approved() -> bytes:
    found = (o.value for o in AUDITS if audit_of(o).decision.outcome is Outcome.APPROVE)
    return next(found) or b""


def _altered(path: str, value: Any) -> bytes:
    """An approval's record with the value at one path replaced."""
    document = msgspec.json.decode(_approved())
    *parents, last = path.replace("[0]", ".0").split(".")
    node = document
    for step in parents:
        node = node[int(step)] if step.isdigit() else node[step]
    assert node.get(last) != value
    node[last] = value
    return msgspec.json.encode(document)


@pytest.mark.parametrize(
    ("path", "value", "verdict"),
    [
        ("application.declared.annual_income_fen", 20_000_001, Verdict.DATA),
        ("application.loan_purpose", "livestock", Verdict.DATA),
        ("bureau.inquiries_12m", 7, Verdict.DATA),
        ("bureau.public_records", 1, Verdict.RULE),
        ("whitelist_entry.limit_fen", 300_000, Verdict.RULE),
        ("standing.exposure_fen", 1_000, Verdict.DATA),
        ("standing.store_age_ms", 4, Verdict.MATCH),
        ("features.term_months", 11.0, Verdict.DATA),
        ("decision.requested_amount_fen", 700, Verdict.DATA),
        ("decision.exposure_before_fen", 700, Verdict.DATA),
        ("rules[0].values", {"points": None}, Verdict.DATA),
        ("log_odds", 0.25, Verdict.MODEL),
        ("contributions[0].log_odds", 0.25, Verdict.MODEL),
        ("decision.pd", 0.5, Verdict.MODEL),
        ("decision.score_points", 1, Verdict.MODEL),
        ("rules[0].result", "refer", Verdict.RULE),
        ("decision.approved_amount_fen", 999_900, Verdict.RULE),
        ("decision.apr_bps", 1, Verdict.RULE),
        ("decision.band", "Z", Verdict.RULE),
    ],
)
def test_one_altered_value_is_told_by_the_step_it_does_not_follow_from(
    path: str, value: Any, verdict: Verdict
) -> None:
    """Given, features, score, rules: whichever is the first that its inputs do not give.

    An altered input of which neither features nor a line of the trail speak shows in the answer,
    where it has a part in that; the chain of the records shows it always.
    """
    replayed = REPLAYER.replay(_altered(path, value))
    assert verdict is replayed.verdict, replayed
    # What was given comes out as it went in: there, what was made of it differs.
    if not path.startswith(("application.", "bureau.", "whitelist_entry.", "standing.")):
        assert (path,) == replayed.fields or path == "rules[0].values"


@pytest.mark.parametrize(
    ("path", "value"), [("decision.approved_amount_fen", 999_900), ("decision.apr_bps", 1)]
)
def test_another_answer_is_told_from_another_way_to_the_same_one(path: str, value: Any) -> None:
    """Outcome, amount, price and reasons are the answer; the rest led to it."""
    assert REPLAYER.replay(_altered(path, value)).other_answer
    assert not REPLAYER.replay(_altered("decision.pd", 0.5)).other_answer


def test_another_spelling_of_the_same_decision_is_not_the_same_bytes() -> None:
    """Equal in every field, but not what the engine wrote."""
    spaced = _approved().replace(b'{"decision":{"', b'{"decision":{ "', 1)
    replayed = REPLAYER.replay(spaced)
    assert (replayed.verdict, replayed.fields) == (Verdict.DATA, (BYTES,))


def test_what_another_release_wrote_of_the_same_matches() -> None:
    """The release's own number is no part of a decision."""
    document = msgspec.json.decode(_approved())
    document["engine_version"] = "9.9.9"
    assert Verdict.MATCH is REPLAYER.replay(msgspec.json.encode(document)).verdict


HARSHER = {name: Harsher(model, 0.5) for name, model in MODELS.items()}
SCORED = [o.value or b"" for o in AUDITS if audit_of(o).log_odds is not None]
UNSCORED = [o.value or b"" for o in AUDITS if audit_of(o).log_odds is None]


def _verdicts(replayer: Replayer, values: list[bytes]) -> set[Verdict]:
    return {each.verdict for each in replayer.replay_all(values)}


def test_under_another_model_only_what_it_scored_is_changed_by_model() -> None:
    """Also where the score stays the same; with the old model at hand, all of it matches."""
    for more in (0.5, 0.0):
        new = {name: Harsher(model, more) for name, model in MODELS.items()}
        replayer = Replayer(AtHand(new, POLICY))
        assert {Verdict.MODEL} == _verdicts(replayer, SCORED)
        assert {Verdict.MATCH} == _verdicts(replayer, UNSCORED)
        detail = replayer.replay(SCORED[0]).detail
        assert "not at hand" in detail
        older = Older({}, {each.manifest_sha256: each for each in MODELS.values()})
        assert {Verdict.MATCH} == _verdicts(Replayer(AtHand(new, POLICY, older)), SCORED)


def test_a_release_is_its_manifest_and_not_its_model_file_alone(tmp_path: Path) -> None:
    """The same trees under other centres are another release: both at hand, each its own."""
    shipped = next((SHIPPED / "consumer").glob("*/"))
    recentred = OnnxScorer(
        copied(
            tmp_path / "other",
            lambda m: [f.update(centre_log_odds=f["centre_log_odds"] - 0.5) for f in m["families"]],
            source=shipped,
        ),
        RELEASED,
    )
    now, before = {**MODELS, "consumer": recentred}, MODELS["consumer"]
    assert recentred.manifest.onnx_sha256 == before.manifest.onnx_sha256
    used = [audit.decision.model for audit in map(audit_of, AUDITS) if audit.decision.model]
    assert before.manifest_sha256 in {each.sha256 for each in used}
    assert Verdict.MODEL in _verdicts(Replayer(AtHand(now, POLICY)), SCORED)
    older = Older({}, {before.manifest_sha256: before})
    assert {Verdict.MATCH} == _verdicts(Replayer(AtHand(now, POLICY, older)), SCORED)


def test_under_another_policy_all_is_changed_by_rule_and_says_who_is_answered_otherwise() -> None:
    """A cut-off 40 points higher: approvals between the two are referred, nobody else differs."""
    consumer = POLICY.segments[Segment.CONSUMER]
    edge = consumer.cut_off_points + 40
    stricter = msgspec.structs.replace(consumer, cut_off_points=edge)
    segments = {**POLICY.segments, Segment.CONSUMER: stricter}
    policy = msgspec.structs.replace(POLICY, segments=segments, sha256="e" * 64)
    found = Replayer(AtHand(MODELS, policy)).replay_all([o.value or b"" for o in AUDITS])
    assert {Verdict.RULE} == {each.verdict for each in found}
    otherwise = {each.application_id for each in found if each.other_answer}
    decisions = [audit_of(output).decision for output in AUDITS]
    approved = [each for each in decisions if each.outcome is Outcome.APPROVE]
    between = {e.application_id for e in approved if e.score_points and e.score_points < edge}
    assert between
    assert between == otherwise & {each.application_id for each in approved if each.stage == 1}
    older = Replayer(AtHand(MODELS, policy, Older({POLICY.sha256: POLICY}, {})))
    assert {Verdict.MATCH} == _verdicts(older, [o.value or b"" for o in AUDITS])


def test_what_shadows_and_challengers_said_is_made_again_too() -> None:
    """Half in a challenger's arm, a shadow beside: matches with all at hand, else by model."""
    values = in_two_arms(HARSHER["consumer"])
    assert {"champion", "challenger"} == {decode_audit(v).standing.arm.value for v in values}
    at_hand = Older({}, {"f" * 64: HARSHER["consumer"]})
    assert {Verdict.MATCH} == _verdicts(Replayer(AtHand(MODELS, POLICY, at_hand)), values)
    assert {Verdict.MODEL} == _verdicts(REPLAYER, values)


def test_one_at_a_time_and_together_come_to_the_same() -> None:
    """What is grouped for speed changes no verdict, among it records that nobody can decide."""
    values = [output.value or b"" for output in AUDITS]
    values[3] = b"{}"
    for number, path in ((7, "standing.partitions"), (11, "decision.decided_at")):
        document = msgspec.json.decode(values[number])
        *_, last = path.split(".")
        document[path.split(".")[0]][last] = 0 if number == 7 else "yesterday"
        values[number] = msgspec.json.encode(document)
    alone = [REPLAYER.replay(value) for value in values]
    assert alone == REPLAYER.replay_all(values)
    unreadable = [n for n, each in enumerate(alone) if each.verdict is Verdict.UNREADABLE]
    assert unreadable == [3, 7, 11]


def test_what_is_no_decision_is_told_apart() -> None:
    """Dead letters are passed over by what they say; other bytes are unreadable."""
    record = Record(APPLICATIONS, 1, 2, b"k", b"v", [], 0)
    letter, _ = encode_dead_letter_audit(record, PoisonError("invalid", "$", "no"), 0)
    assert Verdict.NOT_A_DECISION is REPLAYER.replay(letter).verdict
    assert Verdict.UNREADABLE is REPLAYER.replay(b"{}").verdict
    assert Verdict.UNREADABLE is REPLAYER.replay(b"\xff").verdict
