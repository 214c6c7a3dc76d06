"""The disbursement kit without a broker: its decisions, its verdicts, what its command refuses."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import msgspec
import pytest
from typer.testing import CliRunner

from stream.codec.headers import cloud_event
from stream.codec.keys import partition_of
from stream.conform import scenes as module
from stream.conform.cast import Case, Cast
from stream.conform.cli import conform_app
from stream.conform.envelope import header_fault, schema_faults
from stream.conform.judge import judge
from stream.conform.rules import RULES
from stream.conform.scenes import SCENES
from stream.conform.stage import Played
from stream.conform.verdict import Finding
from stream.conform.watch import Seen
from stream.disbursement.order import decode_order
from stream.domain.outcome import OutcomeEvent, outcome_of
from stream.errors import ConfigError

PARTITIONS = 3
NOW_MS = 1_764_000_000_000


@dataclass
class Script:
    """Stands where the stage stands, and only notes what would be played."""

    cast: Cast = field(default_factory=lambda: Cast("run", PARTITIONS))
    cases: list[Case] = field(default_factory=list)

    @property
    def plan(self) -> Script:
        return self

    burst = 5

    def commit(self, cases: list[Case], *, at_ms: int = 0) -> None:
        self.cases += cases

    abort = commit

    def hold_open(self, held: list[Case], behind: list[Case]) -> None:
        self.cases += [*held, *behind]

    def await_paid(self, cases: object = None, *, every: bool = True) -> bool:
        return True

    def restart(self, moment: str) -> None:
        self.cases += []

    def feeding(self, rule: str) -> AbstractContextManager[None]:
        return nullcontext()


def script() -> Script:
    """Every scene played once."""
    played = Script()
    module.opening(played)  # type: ignore[arg-type]
    for scene in SCENES.values():
        scene(played)  # type: ignore[arg-type]
    return played


def announced(case: Case, *, at_ms: int = NOW_MS, amount_fen: int | None = None) -> Seen:
    """What a sound consumer publishes for a case."""
    order = decode_order(case.value)
    outcome = outcome_of(order, OutcomeEvent.DISBURSED, at_ms)
    if amount_fen is not None:
        outcome = msgspec.structs.replace(outcome, amount_fen=amount_fen)
    headers = cloud_event("loan.outcome.v1", "/x", outcome.outcome_id, outcome.occurred_at)
    place = partition_of(case.key, PARTITIONS)
    return Seen(place, case.key, msgspec.json.encode(outcome), tuple(headers), 1.0)


def played_of(cases: list[Case]) -> Played:
    return Played(cases, {case.decision_id: 0.5 for case in cases})


def findings(cases: list[Case], seen: list[Seen], early: set[str] | None = None) -> list[Finding]:
    played = played_of(cases)
    played.early = early or set()
    return judge(played, seen, PARTITIONS)


def broken(found: list[Finding]) -> dict[str, str]:
    return {each.rule: each.detail for each in found if each.passed is False}


def test_every_decision_played_is_one_the_engine_could_send() -> None:
    """All but the unknown outcome satisfy the published schemas of value and headers."""
    for case in script().cases:
        faults = schema_faults("disbursement.decisions", case.value)
        expected = ["outcome: not as enum asks"] if case.rule == "unknown outcome" else []
        assert expected == faults
        assert header_fault(case.all_headers(), "loan.decision.v1", case.decision_id) is None


def test_the_scenes_prove_every_rule_in_every_partition() -> None:
    """No rule stands in the table without decisions that prove it."""
    cases = script().cases
    assert set(RULES) == {case.rule for case in cases}
    for rule in RULES:
        places = {partition_of(case.key, PARTITIONS) for case in cases if case.rule == rule}
        assert set(range(PARTITIONS)) == places, rule


def test_what_is_paid_as_owed_is_passed_and_timed() -> None:
    """A repeat of an announcement, byte for byte, is no second payment."""
    cases = script().cases
    unique = list({case.decision_id: case for case in cases}.values())
    seen = [announced(case) for case in unique if case.pay_fen is not None]
    found = findings(unique, [*seen, seen[0]])
    assert broken(found) == {}
    assert "p50 500 ms, p99 500 ms" in found[-1].detail


def test_each_fault_is_named_with_its_decision() -> None:
    """Not paid, paid twice, another amount, paid though not owed, paid before the commit."""
    cast = Cast("run", PARTITIONS)
    cases = cast.approvals("approval", 4)
    referral, held = cast.referral("referral"), cast.approval("open")
    missing, twice, wrong, fine = cases
    seen = [
        announced(twice), announced(twice, at_ms=NOW_MS + 1), announced(wrong, amount_fen=7),
        announced(fine), announced(referral), announced(held),
    ]  # fmt: skip
    found = broken(findings([*cases, referral, held], seen, {held.decision_id}))
    assert f"1 not paid ({missing.decision_id})" in found["approval"]
    assert f"1 paid more than once ({twice.decision_id})" in found["approval"]
    assert f"1 paid with another amount ({wrong.decision_id})" in found["approval"]
    assert f"1 paid ({referral.decision_id})" == found["referral"]
    assert f"1 paid before the commit ({held.decision_id})" == found["open"]


def test_a_badly_made_outcome_is_told_apart_from_a_missing_one() -> None:
    """Key, partition, headers and schema of the announcement have a line of their own."""
    case = Cast("run", PARTITIONS).approval("approval")
    good = announced(case)
    other = (good.partition + 1) % PARTITIONS
    for bad, word in (
        (good._replace(key=b"x"), "the key is not the applicant_token"),
        (good._replace(partition=other), "murmur2"),
        (good._replace(headers=()), "header schema_version is missing"),
    ):
        assert word in broken(findings([case], [bad]))["outcome records"]
    unread = good._replace(value=good.value.replace(b"disbursed", b"paid"))
    assert {"approval", "outcome records"} == set(broken(findings([case], [unread])))


def test_what_was_never_decided_is_found_and_earlier_runs_are_not_blamed() -> None:
    """A stranger's decision id is a fault; another run's is passed over and counted."""
    case = Cast("run", PARTITIONS).approval("approval")
    earlier = Cast("old", PARTITIONS).approval("approval")
    stranger = earlier._replace(document={**earlier.document, "application_id": "real-0001"})
    passed = findings([case], [announced(case), announced(earlier)])
    assert broken(passed) == {}
    assert (
        "1 outcomes of earlier runs" in next(x for x in passed if x.rule == "nothing else").detail
    )
    assert {"nothing else"} == set(broken(findings([case], [announced(case), announced(stranger)])))


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--decisions-topic", "disbursement.decisions"], "topic of the engine"),
        (["--outcomes-topic", "loan.outcomes"], "topic of the engine"),
        (["--scenario", "nonsense"], "no scenario"),
        ([], "nobody is at the terminal"),
    ],
)
def test_the_command_refuses_what_would_hurt_or_hang(argv: list[str], word: str) -> None:
    """A real topic, an unknown scene and a restart nobody can do end it before it plays."""
    result = CliRunner().invoke(conform_app, ["disbursement", *argv])
    assert isinstance(result.exception, ConfigError)
    assert word in result.exception.message


def test_the_channel_command_gives_one_json_document_and_exit_code_1(tmp_path: object) -> None:
    """A machine reads which rule is broken and where."""
    file = tmp_path / "bad.jsonl"  # type: ignore[operator]
    file.write_text("{}\n")
    result = CliRunner().invoke(conform_app, ["channel", str(file), "--json"])
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert document["passed"] is False
    assert next(r for r in document["rules"] if r["rule"] == "engine")["ids"] == ["line 1"]
