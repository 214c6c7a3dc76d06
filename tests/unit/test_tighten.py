"""A guard's command: who may give it, what it does to decisions, and that they replay."""

from __future__ import annotations

from typing import Any

import pytest
from builders import FakeViews, bureau, entry, record, token, under
from control_cases import KEY, SECOND_KEY, STRANGER, TRUSTED, command
from control_cases import record as control_record
from policy_cases import POLICY

from stream.audit.at_hand import AtHand
from stream.audit.replay import Replayer, Verdict
from stream.codec.control_v1 import CommandRefusedError, Refusal, decode_command, encode_default
from stream.codec.decision_v1 import decode_audit
from stream.codec.signatures import key_id
from stream.config import Settings
from stream.domain.control import Command, Raised, Switches
from stream.domain.decision import Audit, Outcome
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.topics import AUDIT, CONTROL
from stream.edge.onnx_scorer import load_models
from stream.pipeline import Pipeline
from stream.ports import Output, Record

MODELS = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
GUARD = key_id(STRANGER.public_key())
BOTH = {**TRUSTED, GUARD: STRANGER.public_key()}
TIGHTEN: dict[str, Any] = {"action": "tighten", "name": "consumer", "command_id": "cmd-guard-01"}
OF_MODEL = {"action": "model", "scope": "model", "name": "consumer"}
CHALLENGER = {
    "alias": "challenger", "version": "2.0.0", "manifest_sha256": "a" * 64, "share_bps": 500,
    "replaces": "1.1.0", "replaces_sha256": "b" * 64,
    "salt": "s",
}  # fmt: skip
PEOPLE = 60


def _decided(*commands: Command) -> list[Output]:
    """Audit records of many consumers under these commands, scores on both sides of the edge."""
    records, held = [], []
    for number in range(PEOPLE):
        name = token(number)
        view = {"inquiries_12m": number % 6, "utilisation_pct": 5.0 + 1.5 * number}
        held += [entry(applicant_token=name), bureau(applicant_token=name, **view)]
        records.append(record(application_id=f"app-{number:08d}", applicant_token=name))
    switches = Switches()
    for offset, each in enumerate(commands):
        switches = switches.with_command(each, offset)
    circumstances = under(FakeViews(*held), switches=switches)
    batch = Pipeline(MODELS, POLICY).run(records, {0: Draft(Ledger())}, circumstances)
    return [output for output in batch.outputs if output.topic == AUDIT]


def _audits(outputs: list[Output]) -> list[Audit]:
    return [decode_audit(output.value or b"") for output in outputs]


def test_a_raised_cut_off_refers_what_lies_below_it_and_replays() -> None:
    """Exactly the scores below the raised edge are referred, each record names the command."""
    plain, tightened = _audits(_decided()), _decided(command(**TIGHTEN, raise_points=20))
    edge = POLICY.segments[plain[0].decision.segment].cut_off_points + 20
    approved = {a.decision.application_id for a in plain if a.decision.outcome is Outcome.APPROVE}
    scores = {a.decision.application_id: a.decision.score_points or 0 for a in plain}
    expected = {each for each in approved if scores[each] >= edge}
    audits = _audits(tightened)
    left = {a.decision.application_id for a in audits if a.decision.outcome is Outcome.APPROVE}
    assert expected == left
    assert 0 < len(left) < len(approved)
    assert {(20, "cmd-guard-01")} == {
        (a.standing.raised_points, a.standing.tightened_by) for a in audits
    }
    replayer = Replayer(AtHand(MODELS, POLICY))
    assert {Verdict.MATCH} == {replayer.replay(o.value or b"").verdict for o in tightened}


def test_a_segment_referred_whole_approves_nobody_and_replays() -> None:
    """Each case is halted by the guard's command."""
    outputs = _decided(command(**TIGHTEN, refer_all=True))
    audits = _audits(outputs)
    assert {(Outcome.REFER, "S_HALTED", "cmd-guard-01")} == {
        (a.decision.outcome, a.decision.reasons[0].code, a.standing.stopped_by) for a in audits
    }
    replayer = Replayer(AtHand(MODELS, POLICY))
    assert {Verdict.MATCH} == {replayer.replay(o.value or b"").verdict for o in outputs}


def test_each_record_names_the_command_that_limits_the_breaker_and_replays() -> None:
    """Who reads a record finds the signed command behind its limits; without one, nothing."""
    limited = {"action": "limits", "scope": "segment", "name": "consumer"}
    outputs = _decided(command(**limited, command_id="cmd-limit-01", approvals_max=12))
    audits = _audits(outputs)
    assert {"cmd-limit-01"} == {audit.standing.limited_by for audit in audits}
    assert 0 < sum(audit.decision.outcome is Outcome.APPROVE for audit in audits) <= 12
    replayer = Replayer(AtHand(MODELS, POLICY))
    assert {Verdict.MATCH} == {replayer.replay(o.value or b"").verdict for o in outputs}
    assert {None} == {audit.standing.limited_by for audit in _audits(_decided())}


def test_without_the_guard_the_record_is_the_same_to_the_byte() -> None:
    """A guard that has been eased leaves no trace beside the version of the switches."""
    eased = command(**TIGHTEN)
    plain = [o.value for o in _decided()]
    after = [(o.value or b"").replace(b',"control_version":0', b"") for o in _decided(eased)]
    assert plain == after


def test_the_guard_and_an_operator_do_not_undo_each_other() -> None:
    """An eased guard leaves a stop in force, and a resume leaves the guard's."""
    stop = command(name="consumer", command_id="cmd-stop-0001")
    guard = command(**TIGHTEN, refer_all=True)
    both = Switches().with_command(stop, 0).with_command(guard, 1)
    later = {"issued_at": "2026-11-24T09:00:00Z"}
    eased = both.with_command(command(**{**TIGHTEN, **later}), 2)
    resumed = both.with_command(command(action="resume", name="consumer", **later), 2)
    assert eased.stopped("consumer", "h5", "consumer") == "cmd-stop-0001"
    assert resumed.stopped("consumer", "h5", "consumer") == "cmd-guard-01"


def test_tightened_is_not_referred_whole() -> None:
    """Points raise the cut-off of their segment alone; nothing is stopped by them."""
    switches = Switches().with_command(command(**TIGHTEN, raise_points=20), 0)
    assert Raised(20, "cmd-guard-01") == switches.raised("consumer")
    assert switches.raised("farmer") is None
    assert switches.stopped("consumer", "h5", "consumer") is None


def _refusal(sent: Record, guards: frozenset[str]) -> Refusal | None:
    try:
        decode_command(sent, BOTH, guards)
    except CommandRefusedError as refused:
        return refused.refusal
    return None


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        (None, {**TIGHTEN, "raise_points": 20}),
        (None, TIGHTEN),
        (None, {**OF_MODEL, "model": {"alias": "challenger"}}),
        (Refusal.BEYOND_KEY, {**OF_MODEL, "model": {"alias": "shadow"}}),
        (Refusal.BEYOND_KEY, {}),
        (Refusal.BEYOND_KEY, {"action": "resume"}),
        (Refusal.BEYOND_KEY, {"action": "limits", "approvals_max": 10**9}),
    ],
    ids=str,
)
def test_a_guards_key_tightens_or_ends_a_trial_and_does_nothing_else(
    expected: Refusal | None, changes: dict[str, Any]
) -> None:
    """The watcher's key, stolen, can refer too much and approve nothing more."""
    given = command(**changes)
    assert expected == _refusal(control_record(given, STRANGER), frozenset({GUARD}))
    assert _refusal(control_record(given, KEY), frozenset({GUARD})) is None
    assert _refusal(control_record(given, STRANGER), frozenset()) is None


def test_a_guards_key_begins_no_trial() -> None:
    """Not alone, and not as the second of two."""
    given = command(**OF_MODEL, model=CHALLENGER)
    guards = frozenset({GUARD})
    assert _refusal(control_record(given, STRANGER), guards) == Refusal.BEYOND_KEY
    assert _refusal(control_record(given, KEY, STRANGER), guards) == Refusal.FOUR_EYES
    assert _refusal(control_record(given, KEY, SECOND_KEY), guards) is None


def test_a_tombstone_eases() -> None:
    """A null value under the guard's switch gives the segment back to the policy, if signed."""
    at = command().issued_at
    key, value, headers = encode_default("guard/segment/consumer", "cmd-00000009", at, STRANGER)
    sent = control_record(command())._replace(topic=CONTROL, key=key, value=value, headers=headers)
    eased = decode_command(sent, BOTH, frozenset({GUARD}))
    switches = Switches().with_command(command(**TIGHTEN, raise_points=20), 0)
    assert switches.raised("consumer") is not None
    later = Switches().with_command(eased, 1)
    assert later.raised("consumer") is None
