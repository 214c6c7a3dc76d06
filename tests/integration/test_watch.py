"""The watch beside a running engine: bad loans come in, the segment is referred, others go on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from control_live import Answer, answers, say
from engine_runs import (
    ANSWER_SECONDS,
    await_decided,
    cases,
    engine_settings,
    load_tables,
    publish,
    publish_outcomes,
    running,
)
from typer.testing import CliRunner

from stream.broker import EmbeddedBroker
from stream.cli import app
from stream.config import Settings
from stream.demo.reconcile import end_offsets
from stream.domain.application import Segment
from stream.domain.decision import Decision, Outcome
from stream.domain.outcome import OutcomeEvent, outcome_of
from stream.edge.key_pairs import GUARD, command_keys
from stream.edge.watch_book import WatchBook
from stream.obs.watch_metrics import WatchMetrics
from stream.ops.control import look
from stream.ops.watch import Watcher
from stream.ops.watch_cli import folder_of
from stream.policy.load import load_policy
from stream.watch.guard import GuardState

pytestmark = pytest.mark.broker
FIRST, LATER, BAD = 60, 40, 4
"""Applications before the loans go bad, and after; bad loans, all of them farmers'."""


@pytest.fixture
def engine(broker: EmbeddedBroker, tmp_path: Path) -> tuple[Settings, Any, Any]:
    """An engine that trusts a guard's key, and people who apply there.

    Its budget is so small that the loans of other tests cannot make it large enough.
    """
    run, people = cases(FIRST + LATER)
    plain = engine_settings(broker.bootstrap, tmp_path / "engine", run)
    shipped = plain.policy_file.read_text(encoding="utf-8")
    policy = tmp_path / "policy.toml"
    policy.write_text(shipped.replace("budget_bps = 50", "budget_bps = 1"), encoding="utf-8")
    assert load_policy(policy).guard.budget_bps == 1
    GUARD.make(tmp_path / "keys")
    changes = {"policy_file": policy, "guard_key_files": [tmp_path / "keys" / "guard.pub"]}
    return plain.model_copy(update=changes), run, people


def _report(settings: Settings) -> dict[str, Any]:
    """What `tenminute watch --once` says."""
    environment = {
        "TENMINUTE_GROUP_ID": settings.group_id,
        "TENMINUTE_STATE_DIR": str(settings.state_dir),
        "TENMINUTE_POLICY_FILE": str(settings.policy_file),
        "TENMINUTE_GUARD_KEY_FILES": json.dumps([str(each) for each in settings.guard_key_files]),
    }
    options = ["watch", "--once", "--json", "--bootstrap", settings.bootstrap]
    result = CliRunner().invoke(app, options, env=environment)
    structlog.reset_defaults()  # the verb's logger writes to a terminal that is closed now
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def _loans(found: dict[str, Any], segment: str) -> tuple[int, int]:
    """All loans of a segment and the bad ones among them."""
    rows = [row for row in found["vintages"] if row["segment"] == segment]
    return sum(row["loans"] for row in rows), sum(row["bad_loans"] for row in rows)


@contextmanager
def _watching(settings: Settings, key: Path) -> Iterator[None]:
    """A watch with the guard's key, running beside the test."""
    stop, ready = threading.Event(), threading.Event()

    def run() -> None:  # a connection of SQLite's stays in the thread that opened it
        metrics, log = WatchMetrics(), structlog.get_logger()
        with (
            closing(WatchBook(folder_of(settings))) as book,
            closing(Watcher(settings, book, GUARD.read_private(key), metrics, log)) as watcher,
        ):
            ready.set()
            watcher.run(stop)

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(ANSWER_SECONDS)
    try:
        yield
    finally:
        stop.set()
        thread.join(ANSWER_SECONDS)
    assert not thread.is_alive()


def _await_referred(settings: Settings, segment: Segment) -> str:
    """Wait until the guard's command is in force; its id."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        stops = look(settings, command_keys(settings)[0]).switches.stops
        if ("guard", segment.value) in stops:
            return stops["guard", segment.value]
        time.sleep(0.2)
    raise AssertionError("the guard has commanded nothing")


def _of(found: Sequence[Answer], segment: Segment) -> list[Decision]:
    return [each.decision for each in found if each.decision.segment is segment]


def test_bad_loans_refer_their_segment_and_no_other(
    engine: tuple[Settings, Any, Any], tmp_path: Path
) -> None:
    """The guard's command names what every later decision is halted by, and replays name it.

    Outcomes are sent twice and out of order. What the watch has counted is the same from its book
    and, with no book, from the topics alone. An operator's word takes the guard's back.
    """
    settings, run, people = engine
    since, before = end_offsets(settings.bootstrap), _report(settings)
    load_tables(settings, run, people)
    with running(settings, tmp_path / "logs") as parts:
        publish(settings, people[:FIRST])
        await_decided(settings.bootstrap, since, parts, FIRST)
        decided = [each.decision for each in answers(settings.bootstrap, since)]
        paid = [each for each in decided if each.outcome is Outcome.APPROVE]
        farmers = [each for each in paid if each.segment is Segment.FARMER]
        assert len(farmers) > BAD
        now_ms = time.time_ns() // 1_000_000
        good = [outcome_of(each, OutcomeEvent.DISBURSED, now_ms) for each in paid]
        bad = [outcome_of(each, OutcomeEvent.DEFAULT, now_ms) for each in farmers[:BAD]]
        publish_outcomes(settings, [*bad, *good, *bad, *reversed(good)])
        with _watching(settings, tmp_path / "keys" / "guard.key"):
            command_id = _await_referred(settings, Segment.FARMER)
            known = end_offsets(settings.bootstrap)
            publish(settings, people[FIRST:])
            await_decided(settings.bootstrap, known, parts, LATER)
    later = answers(settings.bootstrap, known)
    assert {("refer", command_id)} == {
        (each.decision.outcome.value, each.audit.standing.stopped_by)
        for each in later
        if each.decision.segment is Segment.FARMER
    }
    assert Outcome.APPROVE in {each.outcome for each in _of(later, Segment.MERCHANT)}
    after = _report(settings)
    (guard,) = (row for row in after["guard"] if row["segment"] == "farmer")
    assert (guard["state"], guard["due"]) == (GuardState.REFER_ALL, GuardState.REFER_ALL)
    was, now = _loans(before, "farmer"), _loans(after, "farmer")
    assert (len(farmers), BAD) == (now[0] - was[0], now[1] - was[1])
    forgotten = settings.model_copy(update={"state_dir": tmp_path / "empty"})
    assert after["vintages"] == _report(forgotten)["vintages"]
    key_file = ["--key-file", str(tmp_path / "keys" / "guard.key")]
    code, _ = say(settings, "ease", "--segment", "farmer", "--yes", "--reason", "test", *key_file)
    assert code == 0
    assert ("guard", "farmer") not in look(settings, command_keys(settings)[0]).switches.stops
