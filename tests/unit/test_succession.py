"""Commands on a model's places: who reads them, whenever and in whatever pieces, ends alike."""

from __future__ import annotations

from typing import Any

import pytest
from control_cases import command
from hypothesis import given
from hypothesis import strategies as st

from stream.domain.control import Command, Placed, Switches
from stream.domain.topics import CONTROL
from stream.ops.topics import TOPICS

TRIAL = {"alias": "challenger", "share_bps": 500, "salt": "s"}


def sha256(version: str) -> str:
    return version.replace(".", "").zfill(64)


def change(version: str, replaces: str, at_ms: int = 0, **more: Any) -> Command:
    """A champion over another, going back where it is older; `more` makes it something else."""
    model = {
        "alias": "champion", "version": version, "manifest_sha256": sha256(version),
        "replaces": replaces, "replaces_sha256": sha256(replaces), "rollback": version < replaces,
    }  # fmt: skip
    return command(
        action="model", scope="model", model={**model, **more},
        command_id=f"cmd-{version}-{replaces}-{at_ms}",
        issued_at=f"2026-11-24T08:00:00.{at_ms:03}Z",
    )  # fmt: skip


def read(log: list[Command]) -> tuple[Switches, list[int]]:
    """What is in force after all of a topic, and the offsets that were refused."""
    switches, refused = Switches(), []
    for offset, each in enumerate(log):
        if switches.unfit(Placed(each, offset)):
            refused.append(offset)
        else:
            switches = switches.with_command(each, offset)
    return switches, refused


PROMOTED = change("1.2.0", "1.1.0", 5)


@pytest.mark.parametrize(
    ("expected", "late"),
    [
        ("given when 1.0.0 was champion; now it is 1.2.0", change("1.1.0", "1.0.0", 9)),
        ("given when 1.1.0 was champion; now it is 1.2.0", change("1.3.0", "1.1.0", 9)),
        ("a newer command on the champion is in force", change("1.1.0", "1.0.0", 1)),
        ("a newer command on the champion is in force", change("1.1.0", "1.2.0", 1)),
        ("another release of 1.2.0", change("1.3.0", "1.2.0", 9, replaces_sha256="0" * 64)),
        ("given when 1.1.0 was champion", change("1.1.5", "1.1.0", 9, **TRIAL)),
        ("a newer command on the champion", change("1.3.0", "1.2.0", 1, **TRIAL)),
        (None, PROMOTED),
        (None, change("1.2.0", "1.1.0", 9)),
        (None, change("1.3.0", "1.2.0", 9)),
        (None, change("1.1.0", "1.2.0", 9)),
        (None, change("1.1.0", "1.2.0", 9, **TRIAL)),
        (None, command(action="model", scope="model", model={"alias": "challenger"})),
    ],
)
def test_what_decides_follows_from_the_champion_in_force(
    expected: str | None, late: Command
) -> None:
    """Over another champion or release, or older than the command in force: refused with why."""
    switches, refused = read([change("1.1.0", "1.0.0", 3), PROMOTED])
    assert refused == []
    found = switches.unfit(Placed(late, 2))
    assert (found is None) == (expected is None)
    assert expected is None or (found is not None and expected in found)


VERSIONS = ("1.0.0", "1.1.0", "1.2.0")


@st.composite
def logs(draw: st.DrawFn) -> list[Command]:
    """Champions over each other, true or false about whom they replace, some played again."""
    version, at_ms = st.sampled_from(VERSIONS), st.integers(0, 9)
    made = st.builds(change, version, version, at_ms)
    found = draw(st.lists(made, max_size=8))
    return found + (draw(st.lists(st.sampled_from(found), max_size=3)) if found else [])


@given(log=logs())
def test_what_was_refused_can_be_left_out(log: list[Command]) -> None:
    """A refused command leaves no trace: with it or without, the same is in force."""
    switches, refused = read(log)
    kept = [None if at in refused else each for at, each in enumerate(log)]
    again = Switches()
    for offset, each in enumerate(kept):
        if each is not None:
            assert again.unfit(Placed(each, offset)) is None
            again = again.with_command(each, offset)
    assert switches.in_force == again.in_force


@given(log=logs())
def test_nobody_goes_back_without_the_word_for_it(log: list[Command]) -> None:
    """From one champion to the next no version falls, or the command is a rollback from it."""
    stands: Command | None = None
    for end in range(1, len(log) + 1):
        placed = read(log[:end])[0].in_force.get("model/champion/farmer")
        now = placed.command if placed else None
        if stands is not None and now is not None and now.model != stands.model:
            assert now.model is not None
            assert stands.model is not None
            assert now.model.replaced == stands.model.pin
            assert now.model.rollback or now.model.pin >= stands.model.pin
        stands = now


def test_the_topic_of_commands_keeps_all() -> None:
    """Compaction would drop the command in force for a newer one that was refused."""
    [declared] = [topic for topic in TOPICS if topic.name == CONTROL]
    expected = {
        "cleanup.policy": "delete", "retention.ms": "-1",
        "message.timestamp.type": "LogAppendTime",
    }  # fmt: skip
    assert expected == declared.configs
