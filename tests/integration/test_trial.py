"""A challenger whose loans go bad is put out of its place while applications flow."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog
import structlog.testing
from control_live import answers
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
from model_cases import RELEASE_KEY, released, two_operators
from typer.testing import CliRunner

from stream.broker import EmbeddedBroker
from stream.cli import app
from stream.codec.signatures import public_pem
from stream.config import DEMO_RELEASE_KEYS, Settings
from stream.demo.reconcile import end_offsets
from stream.domain.application import Segment
from stream.domain.decision import Decision, Outcome
from stream.domain.lineup import Alias
from stream.domain.outcome import OutcomeEvent, outcome_of
from stream.edge.key_pairs import GUARD, command_keys
from stream.ops.control import look
from stream.ops.model_trial import TrialDesk
from stream.trials.rules import TrialTerms

pytestmark = pytest.mark.broker
FIRST, LATER = 220, 30
RIVAL = "7.1.0"


class Bank(NamedTuple):
    """An engine's settings, and the key files of two operators and of the guard."""

    settings: Settings
    operators: list[Path]
    guard: Path

    def say(self, *arguments: str) -> tuple[int, Any]:
        """Run a verb of `tenminute model`; its exit code and its JSON."""
        settings = self.settings
        files = {
            "MODEL_KEY_FILES": settings.model_key_files,
            "CONTROL_KEY_FILES": settings.control_key_files,
            "GUARD_KEY_FILES": settings.guard_key_files,
        }
        environment = {
            "TENMINUTE_GROUP_ID": settings.group_id,
            "TENMINUTE_MODELS_DIR": str(settings.models_dir),
            **{f"TENMINUTE_{k}": json.dumps([str(f) for f in v]) for k, v in files.items()},
        }
        whole = ["model", *arguments, "--bootstrap", settings.bootstrap, "--json"]
        result = CliRunner().invoke(app, whole, env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, json.loads(result.stdout)


@pytest.fixture
def bank(broker: EmbeddedBroker, tmp_path: Path) -> tuple[Bank, Any, Any]:
    """A further version of the farmer model lies on the host."""
    run, people = cases(FIRST + LATER)
    plain = engine_settings(broker.bootstrap, tmp_path / "engine", run)
    models = tmp_path / "models"
    shutil.copytree(plain.models_dir, models)
    released(models, RIVAL)
    release = tmp_path / "release.pub"
    release.write_bytes(public_pem(RELEASE_KEY.public_key()))
    private, public = two_operators(tmp_path)
    guard, guard_public, _ = GUARD.make(tmp_path / "guard")
    changes = {
        "models_dir": models,
        "model_key_files": [*DEMO_RELEASE_KEYS, release],
        "control_key_files": public,
        "guard_key_files": [guard_public],
    }
    return Bank(plain.model_copy(update=changes), private, guard), run, people


@contextmanager
def following(bank: Bank) -> Iterator[None]:
    """A desk with the guard's key, running beside the test."""
    stop = threading.Event()
    private = GUARD.read_private(bank.guard)
    # Not to the screen, which a verb's answer is read from.
    log = structlog.wrap_logger(structlog.testing.CapturingLogger())
    with closing(TrialDesk(bank.settings, "farmer", TrialTerms(), private, log)) as desk:
        thread = threading.Thread(target=desk.run, args=(stop, 0.2))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(ANSWER_SECONDS)
        assert not thread.is_alive()


def tell(settings: Settings, paid: list[Decision], bad: list[Decision]) -> None:
    """Outcomes: all were paid out, these went bad."""
    now_ms = time.time_ns() // 1_000_000
    said = [outcome_of(each, OutcomeEvent.DISBURSED, now_ms) for each in paid]
    publish_outcomes(settings, said)
    publish_outcomes(settings, [outcome_of(each, OutcomeEvent.DEFAULT, now_ms) for each in bad])


def test_bad_loans_end_the_trial_and_the_champion_decides(
    bank: tuple[Bank, Any, Any], tmp_path: Path
) -> None:
    """The guard's key is enough; the command has the numbers; later decisions have one arm."""
    held, run, people = bank
    settings = held.settings
    load_tables(settings, run, people)
    since = end_offsets(settings.bootstrap)
    signed = [part for key in held.operators for part in ("--key-file", str(key))]
    with running(settings, tmp_path / "logs") as parts:
        trial = ["canary", "farmer", RIVAL, "--share", "50", "--reason", "test", "--wait"]
        assert held.say(*trial, *signed)[0] == 0
        publish(settings, people[:FIRST])
        await_decided(settings.bootstrap, since, parts, FIRST)
        decided = [each.decision for each in answers(settings.bootstrap, since)]
        paid = [e for e in decided if (e.segment, e.outcome) == (Segment.FARMER, Outcome.APPROVE)]
        bad = [each for each in paid if each.model and each.model.arm is Alias.CHALLENGER]
        assert 14 <= len(bad) < len(paid)
        code, found = held.say("trial", "farmer")
        assert (code, found["due"], found["in_force"]) == (0, "go on", True)
        assert found["arms"]["challenger"]["approved"] == len(bad)
        tell(settings, paid, bad)
        with following(held):
            switches = look(settings, command_keys(settings)[0]).switches
            deadline = time.monotonic() + ANSWER_SECONDS
            while switches.aliases("farmer").challenger.version is not None:  # type: ignore[union-attr]
                assert time.monotonic() < deadline, "the trial was not ended"
                time.sleep(0.2)
                switches = look(settings, command_keys(settings)[0]).switches
        known = end_offsets(settings.bootstrap)
        publish(settings, people[FIRST:])
        await_decided(settings.bootstrap, known, parts, LATER)
    command = switches.in_force["model/challenger/farmer"].command
    assert command.issued_by == "trial"
    assert "times as fast" in command.reason
    later = [each.audit.standing for each in answers(settings.bootstrap, known)]
    assert {Alias.CHAMPION} == {each.arm for each in later}
    assert {"champion"} == {model.alias for each in later for model in each.models}
    code, found = held.say("trial", "farmer")
    assert (code, found["due"], found["in_force"]) == (1, "stop", False)
    assert (len(bad), 0) == tuple(
        found["arms"][arm]["bad_loans"] for arm in ("challenger", "champion")
    )
