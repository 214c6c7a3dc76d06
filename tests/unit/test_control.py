"""Which commands there are, and what is in force after them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from control_cases import command

from stream.domain.control import Limits, Switches


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "segment", "name": "farmers"},
        {"scope": "channel", "name": "farmer"},
        {"scope": "everything", "name": "farmer"},
        {"scope": "model", "name": "../farmer"},
        {"scope": "planet", "name": "earth"},
        {"action": "pause"},
        {"action": "limits", "scope": "channel", "name": "h5", "approvals_max": 1},
        {"action": "limits", "approvals_max": -1},
        {"action": "stop", "approvals_max": 1},
        {"action": "stop", "raise_points": 20},
        {"action": "stop", "refer_all": True},
        {"action": "tighten", "scope": "everything", "name": "all", "refer_all": True},
        {"action": "tighten", "raise_points": -1},
        {"action": "tighten", "raise_points": 20, "refer_all": True},
        {"issued_at": "yesterday"},
        {"issued_at": "2026-11-24T08:00:00"},
        {"reason": "two\nlines"},
        {"reason": ""},
        {"issued_by": ""},
        {"until": "tomorrow"},
    ],
    ids=str,
)
def test_what_is_no_command_is_refused(changes: dict[str, Any]) -> None:
    """A name outside its scope, a limit out of place or an unknown field is never guessed at."""
    with pytest.raises(msgspec.ValidationError):
        command(**changes)


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("switch/segment/farmer", {}),
        ("switch/segment/farmer", {"action": "resume"}),
        ("switch/everything/all", {"scope": "everything", "name": "all"}),
        ("switch/model/farmer", {"scope": "model"}),
        ("breaker/segment/farmer", {"action": "limits", "approvals_max": 5}),
        ("guard/segment/farmer", {"action": "tighten", "raise_points": 20}),
    ],
)
def test_the_key_is_the_switch(expected: str, changes: dict[str, Any]) -> None:
    """A stop and its resume share a key, limits have one of their own."""
    assert expected == command(**changes).key


def test_the_widest_stop_is_named() -> None:
    """With several stops over one application, the trail names the widest."""
    narrow = Switches().with_command(command(command_id="cmd-segment"), 0)
    wide = command(command_id="cmd-everything", scope="everything", name="all")
    assert narrow.stopped("farmer", "h5", "farmer") == "cmd-segment"
    assert narrow.with_command(wide, 1).stopped("farmer", "h5", "farmer") == "cmd-everything"
    assert narrow.stopped("consumer", "h5", "consumer") is None


def test_resume_takes_back_one_stop_only() -> None:
    """What another stop covers stays stopped."""
    stopped = Switches().with_command(command(), 0)
    stopped = stopped.with_command(command(command_id="cmd-channel", scope="channel", name="h5"), 1)
    later = "2026-11-24T08:00:01Z"
    resumed = stopped.with_command(command(action="resume", issued_at=later), 2)
    assert resumed.stopped("farmer", "h5", "farmer") == "cmd-channel"
    assert resumed.stopped("farmer", "mobile_bank", "farmer") is None


def test_an_older_command_is_ignored() -> None:
    """A command that comes late does not undo a newer one of its switch."""
    stopped = Switches().with_command(command(), 5)
    earlier = command(action="resume", issued_at="2026-11-24T07:59:59Z", command_id="cmd-early")
    after = stopped.with_command(earlier, 6)
    assert after.stopped("farmer", "h5", "farmer") == "cmd-00000001"
    assert after.version == 6
    assert not after.holds(6)


def test_limits_replace_and_give_back() -> None:
    """Limits hold for their segment until a command without any gives them back."""
    limited = Switches().with_command(command(action="limits", approvals_max=5), 0)
    assert limited.limits("farmer") == Limits(5, None, "cmd-00000001")
    assert limited.limits("consumer") is None
    back = command(action="limits", issued_at="2026-11-24T08:00:01Z")
    assert limited.with_command(back, 1).limits("farmer") is None
