"""The desk that follows a trial: what it reads, when it commands, and that it only ends."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import structlog
from control_cases import KEY, command
from trial_cases import tried

from stream.config import Settings
from stream.domain.control import Action, Command, Switches
from stream.domain.decision import Outcome
from stream.domain.lineup import Alias
from stream.errors import BrokerError, ConfigError
from stream.ops import model_trial
from stream.ops.control import Seen
from stream.ops.model_trial import TrialDesk, book_for, read_terms
from stream.ops.model_trial_cli import show
from stream.trials.rules import TrialTerms

IN_FORCE = command(
    action="model",
    scope="model",
    name="consumer",
    model={
        "alias": "challenger", "version": "2.0.0", "manifest_sha256": "c" * 64,
        "replaces": "1.1.0", "replaces_sha256": "b" * 64,
        "share_bps": 2_000, "salt": "salt",
    },
)  # fmt: skip


class NoFeed:
    """A feed at its end."""

    caught_up = True

    def __init__(self, *_: object) -> None:
        pass


class Topic:
    """`decision.control` without a broker."""

    def __init__(self, *commands: Command) -> None:
        self.switches, self.sent = Switches(), list[Command]()
        self.away = False
        for each in commands:
            self.take(each)

    def take(self, given: Command) -> None:
        self.switches = self.switches.with_command(given, self.switches.version + 1)

    def look(self, *_: object) -> Seen:
        return Seen(self.switches, {}, {})

    def publish(self, _settings: Settings, given: Command, _key: object) -> int:
        if self.away:
            raise BrokerError("no answer", fix="wait")
        self.sent.append(given)
        self.take(given)
        return self.switches.version


def desk(
    monkeypatch: pytest.MonkeyPatch, topic: Topic, private: Any = KEY, *, applicants: int = 400
) -> TrialDesk:
    """A desk whose trial has drawn half of the applicants where a fifth was declared."""
    monkeypatch.setattr(model_trial, "WatchFeed", NoFeed)
    monkeypatch.setattr(model_trial.control, "look", topic.look)
    monkeypatch.setattr(model_trial.control, "publish", topic.publish)
    made = TrialDesk(Settings(), "consumer", TrialTerms(), private, structlog.get_logger())
    for number in range(applicants):
        made.book.hear_audit(tried(number, drawn=number % 2 == 0, outcome=Outcome.REFER))
    return made


def settle(made: TrialDesk, times: int = 1) -> None:
    """Look so often."""
    assert made.book.newest is not None
    for _ in range(times):
        made.settle(made.book.newest)


def test_harm_ends_the_trial_in_force_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One command takes the challenger away, with the numbers; the next look has nothing to do."""
    topic = Topic(IN_FORCE)
    settle(desk(monkeypatch, topic), times=3)
    [sent] = topic.sent
    assert (sent.action, sent.name, sent.issued_by) == (Action.MODEL, "consumer", "trial")
    assert sent.model is not None
    assert (sent.model.alias, sent.model.version, sent.signatures) == (Alias.CHALLENGER, None, 1)
    assert "200 of 400 drawn at 20.00%" in sent.reason
    aliases = topic.switches.aliases("consumer")
    assert aliases.challenger is not None
    assert (aliases.champion, aliases.challenger.version) == (None, None)


@pytest.mark.parametrize(
    ("changes", "private", "applicants"),
    [
        ({"share_bps": 3_000}, KEY, 400),
        ({"version": "3.0.0"}, KEY, 400),
        ({}, None, 400),
        ({}, KEY, 20),
    ],
    ids=["another share", "another version", "no key", "too little known"],
)
def test_nothing_else_is_commanded(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], private: Any, applicants: int
) -> None:
    """Not on another trial's evidence, not without a key, not before it is known."""
    assert IN_FORCE.model is not None
    said = {
        "alias": "challenger", "version": "2.0.0", "manifest_sha256": "c" * 64,
        "replaces": "1.1.0", "replaces_sha256": "b" * 64,
        "share_bps": 2_000, "salt": "salt", **changes,
    }  # fmt: skip
    topic = Topic(command(action="model", scope="model", name="consumer", model=said))
    settle(desk(monkeypatch, topic, private, applicants=applicants))
    assert topic.sent == []


def test_a_command_that_fails_is_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is away ends nothing, neither the desk nor the trial."""
    topic = Topic(IN_FORCE)
    topic.away = True
    made = desk(monkeypatch, topic)
    settle(made, times=2)
    assert topic.sent == []
    topic.away = False
    settle(made)
    assert len(topic.sent) == 1


def test_what_is_shown_says_what_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a trial nothing is; with one that harms, stop, and whether it stands."""
    topic = Topic(IN_FORCE)
    assert desk(monkeypatch, topic, applicants=0).once(1.0) == {
        "model": "consumer",
        "trial": None,
        "due": "go on",
    }
    found = desk(monkeypatch, topic).once(1.0)
    assert (found["in_force"], found["due"], topic.sent) == (True, "stop", [])
    later = {"command_id": "cmd-00000002", "issued_at": "2026-11-24T09:00:00Z"}
    nobody = {"alias": "challenger"}
    topic.take(command(action="model", scope="model", name="consumer", model=nobody, **later))
    assert desk(monkeypatch, topic).once(1.0)["in_force"] is False
    assert desk(monkeypatch, topic, None).once(1.0)["in_force"] is None


def test_terms_are_read_and_checked(tmp_path: Path) -> None:
    """A file of TOML; what is no term, or out of bounds, is named."""
    assert TrialTerms() == read_terms(None)
    file = tmp_path / "trial.toml"

    def told(lines: Iterable[str]) -> TrialTerms:
        file.write_text("\n".join(lines), encoding="utf-8")
        return read_terms(file)

    assert TrialTerms(bad_ratio_max=1.2, level=0.01) == told(
        ["bad_ratio_max = 1.2", "level = 0.01"]
    )
    for line, fault in (
        ("level = 2.0", "level"), ("levle = 0.1", "levle"), ("level =", "trial.toml")
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=fault):
            told([line])
    with pytest.raises(ConfigError, match="absent"):
        read_terms(tmp_path / "absent.toml")


def test_a_model_must_be_of_the_policy() -> None:
    """An unknown name is refused with those that are known."""
    with pytest.raises(ConfigError, match="no model nobody"):
        book_for(Settings(), "nobody")
    assert book_for(Settings(), "farmer").amount_max_fen > 0


def test_the_verb_shows_a_trial_to_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arms, rules and what is due; and one line where there is no trial."""
    show(desk(monkeypatch, Topic(IN_FORCE)).once(1.0))
    shown = capsys.readouterr().out
    assert "consumer: 2.0.0 for 20 % of the applicants against 1.0.0" in shown
    assert "200 of 400 drawn at 20.00%" in shown
    assert "due: stop" in shown
    assert "not in force" not in shown
    show(desk(monkeypatch, Topic(), applicants=0).once(1.0))
    assert capsys.readouterr().out == "consumer: no decision was made in a trial\n"
