"""What another policy or model would have made of logged decisions, and how it is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from audit_cases import MODELS, audit_of, audits, exported
from policy_cases import POLICY, POLICY_FILE
from typer.testing import CliRunner

from stream.audit.again import decide_again
from stream.audit.swaps import ALL, Sums, add, merged
from stream.audit.what_if import Effect, WhatIf, read
from stream.cli import app
from stream.domain.application import Segment
from stream.domain.decision import Outcome
from stream.ops.audit_manifest import manifest_line
from stream.ops.spans import SpanReader, spans_of_file
from stream.pipeline import Pipeline
from stream.policy.model import Policy
from stream.ports import FloatMatrix, Scorer

AUDITS = audits()
VALUES = [output.value or b"" for output in AUDITS]
FIRST = [each for each in map(audit_of, AUDITS) if each.application is not None]
LOGGED = [each for each in (read(value) for value in VALUES) if each is not None]


class _Other:
    """A model of another hash that says `more` against everyone, in each family."""

    def __init__(self, model: Scorer, more: float) -> None:
        self._model, self._more = model, np.float32(more)
        self.manifest, self.manifest_sha256 = model.manifest, "f" * 64

    def score(self, rows: FloatMatrix) -> FloatMatrix:
        """The model's outputs and more."""
        return self._model.score(rows) + self._more


def _effects(what_if: WhatIf) -> list[Effect]:
    found = [each for each in what_if.effects(LOGGED) if each is not None]
    assert len(FIRST) == len(found)
    return found


def _added(effects: list[Effect]) -> dict[str, Sums]:
    sums: dict[str, Sums] = {}
    add(sums, effects)
    return sums


def _with_consumers(**changes: Any) -> Policy:
    segment = msgspec.structs.replace(POLICY.segments[Segment.CONSUMER], **changes)
    segments = {**POLICY.segments, Segment.CONSUMER: segment}
    return msgspec.structs.replace(POLICY, segments=segments, sha256="e" * 64)


def test_the_same_policy_and_models_change_nothing() -> None:
    """No swap, no other amount, score or reason, and nothing is scored anew."""
    for instead in (frozenset[str](), frozenset(MODELS)):
        for effect in _effects(WhatIf(POLICY, MODELS, instead)):
            assert effect.before == effect.after
            assert not effect.rescored
    sums = merged([_added(_effects(WhatIf(POLICY, MODELS)))])[ALL]
    assert (sums.swapped_in.count, sums.swapped_out.count, sums.resized) == (0, 0, 0)
    approved = [each.decision for each in FIRST if each.decision.outcome is Outcome.APPROVE]
    assert len(approved) == sums.before.count == sums.after.count
    money_fen = sum(each.approved_amount_fen for each in approved)
    assert money_fen == sums.before.amount_fen == sums.after.amount_fen
    lost = sum((each.pd or 0) * each.approved_amount_fen for each in approved)
    assert round(lost * 0.4) == pytest.approx(sums.after.loss_fen(0.4), abs=1)


def test_a_stricter_cut_off_swaps_out_exactly_who_is_below_it() -> None:
    """Nobody is swapped in, nobody else out; one point lower than the best leaves that one."""
    edge = POLICY.segments[Segment.CONSUMER].cut_off_points + 25
    effects = _effects(WhatIf(_with_consumers(cut_off_points=edge), MODELS))
    out = {n for n, each in enumerate(effects) if each.before.approved and not each.after.approved}
    decisions = [each.decision for each in FIRST]
    approved = {n for n, each in enumerate(decisions) if each.outcome is Outcome.APPROVE}
    below = {n for n in approved if (decisions[n].score_points or 0) < edge}
    assert below
    assert below < approved
    assert below == out
    sums = _added(effects)["consumer"]
    assert (len(below), 0) == (sums.swapped_out.count, sums.swapped_in.count)
    assert sum(decisions[n].approved_amount_fen for n in below) == sums.swapped_out.amount_fen
    assert sum(decisions[n].pd or 0 for n in below) == pytest.approx(sums.swapped_out.pd_sum)
    assert sums.after.amount_fen == sums.before.amount_fen - sums.swapped_out.amount_fen


@pytest.mark.parametrize("more", [0.0, 0.3])
@pytest.mark.parametrize(
    "policy",
    [
        _with_consumers(exposure_cap_fen=2_000_000, debt_share_max_bps=1_000),
        msgspec.structs.replace(POLICY, knock_outs=dict.fromkeys(Segment, ()), sha256="e" * 64),
        msgspec.structs.replace(POLICY, barred_purposes=frozenset({"appliances"}), sha256="e" * 64),
    ],
    ids=["tighter", "no knock-outs", "purpose barred"],
)
def test_the_short_way_comes_to_what_the_engine_would_decide(policy: Policy, more: float) -> None:
    """Amount, score, pd and first reason of every decision are the whole pipeline's."""
    other = {name: _Other(model, more) for name, model in MODELS.items()}
    models: dict[str, Any] = other if more else dict(MODELS)
    instead = frozenset(other) if more else frozenset[str]()
    effects = _effects(WhatIf(policy, models, instead))
    assert any(each.before.amount_fen != each.after.amount_fen for each in effects)
    for effect, again in zip(effects, decide_again(Pipeline(models, policy), FIRST), strict=True):
        assert again is not None
        assert again.audit is not None
        made, after = again.audit.decision, effect.after
        first = made.reasons[0].code if made.reasons else ""
        told = (after.amount_fen, after.points, after.pd, after.reason)
        assert (made.approved_amount_fen, made.score_points, made.pd, first) == told


def test_only_what_needs_a_score_is_scored() -> None:
    """Without knock-outs those they stopped; with another model all that meets it, else none."""
    free = msgspec.structs.replace(POLICY, knock_outs=dict.fromkeys(Segment, ()), sha256="e" * 64)
    for effect in _effects(WhatIf(free, MODELS)):
        new = effect.before.points is None and effect.after.points is not None
        assert new == effect.rescored
    other = {**MODELS, "consumer": _Other(MODELS["consumer"], 0.2)}
    effects = _effects(WhatIf(POLICY, other, frozenset({"consumer"})))
    assert sum(each.log_odds is not None for each in FIRST) == sum(e.rescored for e in effects)
    # A model that is in force, but not asked for, rescores nothing: the log's scores stand.
    assert not any(each.rescored for each in _effects(WhatIf(POLICY, other)))


def _run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def _stricter(tmp_path: Path) -> Path:
    """The shipped policy with consumers' cut-off 15 points higher, and its first band with it."""
    edge = POLICY.segments[Segment.CONSUMER].cut_off_points
    text = POLICY_FILE.read_text(encoding="utf-8")
    text = text.replace(f"cut_off_points = {edge}\n", f"cut_off_points = {edge + 5}\n")
    text = text.replace(f"points_from = {edge},", f"points_from = {edge + 5},")
    file = tmp_path / "stricter.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_command_tells_the_same_with_one_process_and_with_two(tmp_path: Path) -> None:
    """In figures, and as a table no wider than 80 columns; pictures are drawn when asked for."""
    file, policy = exported(tmp_path / "audit.jsonl", VALUES * 24), _stricter(tmp_path)
    asked = ("what-if", "--policy", str(policy), "--file", str(file))
    assert len(spans_of_file(file)) > 1
    told = []
    for workers in ("1", "2"):
        code, output = _run(*asked, "--json", "--workers", workers)
        assert code == 0, output
        told.append(json.loads(output))
    one, two = told
    assert one["groups"] == two["groups"]
    assert (24 * len(LOGGED), 24 * (len(VALUES) - len(LOGGED))) == (
        one["decisions"],
        one["passed_over"],
    )
    consumer = one["groups"]["consumer"]
    assert consumer["swapped_out"]["count"] > 0 == consumer["swapped_in"]["count"]
    code, output = _run(*asked, "--plots", str(tmp_path / "plots"))
    assert code == 0
    assert max(map(len, output.splitlines()[:-1])) <= 80
    pictures = {"approval-rate.svg", "expected-loss.svg", "scores-consumer.svg"}
    assert pictures == {each.name for each in (tmp_path / "plots").iterdir()}


def test_the_time_asked_for_is_that_of_the_decision_its_end_left_out(tmp_path: Path) -> None:
    """All of it, none of it, and exit 1 for none; a fault in a line is counted and is exit 1."""
    file = exported(tmp_path / "audit.jsonl", VALUES)
    asked = ("what-if", "--policy", str(POLICY_FILE), "--file", str(file), "--json")
    moments = {each.decision.decided_at for each in FIRST}
    (moment,) = moments
    code, output = _run(*asked, "--from", moment)
    assert (0, len(LOGGED)) == (code, json.loads(output)["decisions"])
    replay = ("replay", "--file", str(file), "--json", "--from", moment)
    code, output = _run(*replay, "--to", "2099-01-01T00:00:00Z")
    assert (len(VALUES), True) == (json.loads(output)["records"], len(VALUES) > len(LOGGED))
    code, output = _run("replay", "--file", str(file), "--json", "--to", moment)
    assert (code, json.loads(output)["records"]) == (1, 0)
    code, output = _run(*asked, "--to", moment)
    assert (code, json.loads(output)["decisions"]) == (1, 0)
    exported(file, [*VALUES, b"{}"])
    code, output = _run(*asked)
    assert (code, json.loads(output)["unreadable"]) == (1, 1)


def test_a_decision_labelled_as_a_dead_letter_is_decided_again(tmp_path: Path) -> None:
    """The header is in no chain, so it hides no decision from replay or what-if."""
    file = exported(tmp_path / "audit.jsonl", VALUES[:40])
    text = file.read_text(encoding="utf-8")
    sent = text.replace("loan.decision.audit.v1", "loan.dead_letter.audit.v1")
    file.write_text(f"{manifest_line(1, [])}\n{sent}", encoding="utf-8")
    code, output = _run("replay", "--file", str(file), "--all", "--json")
    assert (code, json.loads(output)["verdicts"]["match"]) == (0, 40)
    code, output = _run(
        "what-if", "--policy", str(_stricter(tmp_path)), "--file", str(file), "--json"
    )
    decided = [each for each in map(read, VALUES[:40]) if each is not None]
    assert (code, json.loads(output)["decisions"]) == (0, len(decided))


@pytest.mark.parametrize("span_bytes", [1, 100, 5_000, 50_000, 10_000_000])
def test_every_line_is_read_once_however_the_file_is_cut(tmp_path: Path, span_bytes: int) -> None:
    """Spans follow one another without a gap, and each begins with a line."""
    file = exported(tmp_path / "audit.jsonl", VALUES[:40])
    spans = spans_of_file(file, span_bytes)
    reader = SpanReader(None)  # type: ignore[arg-type]  # a file needs no settings
    found = [seen for span in spans for seen in reader.read(span)]
    assert VALUES[:40] == [seen.value for seen in found]
    assert [0, *(span.end for span in spans)] == [
        *(span.start for span in spans),
        file.stat().st_size,
    ]
