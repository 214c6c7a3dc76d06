"""Commands and limits in a running engine of two workers, while applications flow."""

from __future__ import annotations

import runpy
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from control_live import Answer, Given, answers, flowing, give, let_flow, say
from engine_runs import (
    await_caught_up,
    cases,
    engine_settings,
    load_tables,
    running,
)

from stream.broker import EmbeddedBroker
from stream.config import Settings
from stream.demo.parts import Parts, counter, get
from stream.demo.reconcile import end_offsets
from stream.demo.terms import LoanCase
from stream.edge.key_pairs import OPERATOR
from stream.policy.load import load_policy

pytestmark = pytest.mark.broker
WINDOW_MS = 2_000
RATE = 30.0
"""Applications a second: about half are farmers', the others merchants'."""
STOPPED, LIMITED, MEASURED = slice(0, 3_000), slice(3_000, 4_500), slice(4_500, 5_400)
"""Whose applications each test sends: enough for a machine ten times slower than it should be."""
PARTITIONS = 6
APPROVALS_EACH = 1
AMOUNT_EACH_FEN = 5_000_000


class Live(NamedTuple):
    """An engine that runs, and people whose offers it holds."""

    settings: Settings
    parts: Parts
    people: list[LoanCase]


@pytest.fixture(scope="module")
def live(broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Two workers under the shipped policy with a breaker window of two seconds."""
    folder = tmp_path_factory.mktemp("live")
    run, people = cases(MEASURED.stop)
    plain = engine_settings(broker.bootstrap, folder / "engine", run, workers=2)
    policy = folder / "policy.toml"
    shipped = plain.policy_file.read_text(encoding="utf-8")
    policy.write_text(shipped.replace("window_ms = 600_000", f"window_ms = {WINDOW_MS}"))
    assert load_policy(policy).breaker.window_ms == WINDOW_MS
    _, public_file, _ = OPERATOR.make(folder / "keys")
    changes = {"policy_file": policy, "control_key_files": [public_file]}
    settings = plain.model_copy(update=changes)
    load_tables(settings, run, people)
    with running(settings, folder / "logs") as parts:
        yield Live(settings, parts, people)


class Stopped(NamedTuple):
    """A stop, what `list` said of it, and the resume that took it back."""

    attribute: str
    name: str
    stop: Given
    listed: dict[str, object]
    resume: Given

    def covers(self, answer: Answer) -> bool:
        """Whether the application is in the scope of the stop."""
        return bool(getattr(answer.decision, self.attribute) == self.name)

    def in_force_for(self, answer: Answer) -> bool:
        """Whether it came after the last decision without the stop, and before the resume."""
        return self.stop.last_affected_ms < answer.at_ms < self.resume.issued_ms


def _stop_and_resume(live: Live, scope: str, name: str) -> Stopped:
    named = [f"--{scope}", name]
    stop = give(live.settings, "stop", *named)
    _, listed = say(live.settings, "list")
    let_flow(live.settings, live.parts, 24)
    resume = give(live.settings, "resume", "--yes", *named)
    let_flow(live.settings, live.parts, 24)
    attribute = "segment" if scope == "model" else scope  # each segment has a model of its name
    return Stopped(attribute, name, stop, listed["in_force"][0], resume)


def test_a_stop_holds_from_its_last_decision_until_its_resume(live: Live) -> None:
    """All in the scope are referred under the command's id, nothing else is, then approved again.

    So it is for a segment, a model and a channel, past the decision that the workers name as the
    last one without the stop. The time from the command to it is in `list` and in the metrics.
    """
    settings, bootstrap = live.settings, live.settings.bootstrap
    measured = "tenminute_control_last_affected_seconds_count"
    since = end_offsets(bootstrap)
    with flowing(settings, live.people[STOPPED], RATE):
        let_flow(live.settings, live.parts, 30)
        before = counter(get(settings, "/metrics")[1], measured)
        scopes = (("segment", "farmer"), ("model", "merchant"), ("channel", "mobile_bank"))
        stops = [_stop_and_resume(live, *scope) for scope in scopes]
        let_flow(live.settings, live.parts, 60)
        after = counter(get(settings, "/metrics")[1], measured)
    await_caught_up(settings, live.parts)
    found = answers(bootstrap, since)
    for each in stops:
        _check_stop(each, found)
    halted = {answer.audit.standing.stopped_by for answer in found} - {None}
    assert {each.stop.command_id for each in stops} == halted
    # Both workers, each with three stops and three resumes.
    assert after - before == 2 * 2 * len(stops)


def _check_stop(each: Stopped, found: list[Answer]) -> None:
    command_id = each.stop.command_id
    covered = [answer for answer in found if each.covers(answer)]
    stopped = [answer for answer in covered if each.in_force_for(answer)]
    assert stopped
    assert {("refer", "S_HALTED", command_id)} == {
        (a.decision.outcome.value, a.first_reason, a.audit.standing.stopped_by) for a in stopped
    }
    trail = ("refer", {"halted": True, "command_id": command_id})
    assert all(answer.rule("halt") == trail for answer in stopped)
    under = [answer for answer in found if answer.audit.standing.stopped_by == command_id]
    assert all(each.covers(answer) for answer in under)
    assert all(answer.at_ms <= each.resume.last_affected_ms for answer in under)
    beside = [a for a in found if not each.covers(a) and each.in_force_for(a)]
    again = [answer for answer in covered if answer.at_ms > each.resume.acknowledged_ms]
    for going_on in (beside, again):
        assert any(answer.decision.outcome.value == "approve" for answer in going_on)
    assert len(each.stop.workers) == 2
    assert each.listed["acknowledged"] == each.stop.workers
    assert each.listed["last_affected_ms"] == each.stop.last_affected_ms - each.stop.issued_ms


def test_limits_trip_refer_and_recover_when_the_window_has_moved(live: Live) -> None:
    """In no window is more approved than a partition's share; beyond it, S_BREAKER, then approvals.

    Farmers are limited by count, merchants by amount, both by command.
    """
    settings, bootstrap = live.settings, live.settings.bootstrap
    since = end_offsets(bootstrap)
    count, yuan = APPROVALS_EACH * PARTITIONS, AMOUNT_EACH_FEN * PARTITIONS // 100
    farmers = ("limits", "--segment", "farmer")
    merchants = ("limits", "--segment", "merchant")
    with flowing(settings, live.people[LIMITED], RATE):
        let_flow(live.settings, live.parts, 20)
        give(settings, *farmers, "--approvals-max", str(count))
        give(settings, *merchants, "--amount-max-yuan", str(yuan))
        time.sleep(2.5 * WINDOW_MS / 1_000)
        give(settings, *farmers, "--default")
        ended = give(settings, *merchants, "--default")
        let_flow(live.settings, live.parts, 40)
    await_caught_up(settings, live.parts)
    found = answers(bootstrap, since)
    standings = [(answer, answer.audit.standing) for answer in found if _weighed(answer)]
    counted = [answer for answer, s in standings if s.approvals_max == APPROVALS_EACH]
    weighed = [answer for answer, s in standings if s.amount_max_fen == AMOUNT_EACH_FEN]
    for limited in (counted, weighed):
        _check_tripped(limited)
    for approvals in _approved_by_partition(counted):
        assert all(len(_within(approvals, a.at_ms)) <= APPROVALS_EACH for a in approvals)
    for approvals in _approved_by_partition(weighed):
        assert all(_fen(_within(approvals, a.at_ms)) <= AMOUNT_EACH_FEN for a in approvals)
    later = [answer for answer in found if answer.at_ms > ended.acknowledged_ms]
    approved = {a.decision.segment.value for a in later if a.decision.outcome.value == "approve"}
    assert {"farmer", "merchant"} == approved


def test_the_bench_measures_what_the_topic_shows(live: Live) -> None:
    """No farmer is approved after the decision that `bench/control.py` takes from the workers."""
    bench = runpy.run_path(str(Path(__file__).parents[2] / "bench" / "control.py"))
    with flowing(live.settings, live.people[MEASURED], RATE):
        let_flow(live.settings, live.parts, 40)
        stops = bench["stop_and_resume"](live.settings, 2)
    await_caught_up(live.settings, live.parts)
    late = bench["last_approvals"](live.settings.bootstrap, stops)
    assert len(stops) == len(late) == 2
    for stop, approved in zip(stops, late, strict=True):
        assert 0 <= approved <= stop.last_affected <= stop.acknowledged < stop.resumed


def _check_tripped(limited: list[Answer]) -> None:
    """Tripped means referred for that reason; and approvals come back to where it had tripped."""
    tripped = [answer for answer in limited if answer.rule("breaker") is not None]
    assert tripped
    assert {("refer", "S_BREAKER")} == {(a.decision.outcome.value, a.first_reason) for a in tripped}
    first = {}
    for answer in tripped:
        first.setdefault(answer.partition, answer.at_ms)
    recovered = [
        answer
        for approvals in _approved_by_partition(limited)
        for answer in approvals
        if answer.at_ms > first.get(answer.partition, answer.at_ms)
    ]
    assert recovered


def _weighed(answer: Answer) -> bool:
    """Whether the breaker had a say: approvals passed it, and the trail names it otherwise."""
    return answer.decision.outcome.value == "approve" or answer.rule("breaker") is not None


def _approved_by_partition(limited: list[Answer]) -> list[list[Answer]]:
    found = defaultdict(list)
    for answer in limited:
        if answer.decision.outcome.value == "approve":
            found[answer.partition].append(answer)
    assert found
    return list(found.values())


def _within(approvals: list[Answer], at_ms: int) -> list[Answer]:
    """Approved in the window that ends at `at_ms`, both ends included."""
    return [each for each in approvals if at_ms - WINDOW_MS <= each.at_ms <= at_ms]


def _fen(approvals: list[Answer]) -> int:
    return sum(each.decision.approved_amount_fen for each in approvals)
