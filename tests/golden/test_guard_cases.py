"""The cases of the guard under `cases/guard/`: data a credit officer reads and adds to."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from stream.config import load_settings
from stream.domain.instant import to_ms
from stream.policy.load import load_policy
from stream.watch.guard import GuardState, next_state, usage
from stream.watch.vintage import Loan, Vintages, month_of

_FOLDER = Path(__file__).parent / "cases" / "guard"
GUARD = load_policy(load_settings().policy_file).guard
EACH_YUAN = 100_000


def _cases() -> list[Any]:
    return [
        pytest.param(case, id=f"{file.stem}: {case['name']}")
        for file in sorted(_FOLDER.glob("*.toml"))
        for case in tomllib.loads(file.read_text(encoding="utf-8"))["case"]
    ]


def _loans(look: dict[str, Any]) -> list[Loan]:
    """The loans that a look names, the bad ones of each month first."""
    found = []
    for month, count in look["paid"].items():
        decided_ms = to_ms(f"{month}-15T08:00:00Z")
        bad = look.get("bad", {}).get(month, 0)
        for number in range(count):
            yuan = look.get("bad_yuan", EACH_YUAN) if number < bad else EACH_YUAN
            bad_ms = decided_ms if number < bad else None
            found.append(Loan("farmer", "m 1", "champion", decided_ms, yuan * 100, True, bad_ms))
    return found


@pytest.mark.parametrize("case", _cases())
def test_the_guard_does_as_the_officer_wrote(case: dict[str, Any]) -> None:
    """Each look leaves the segment in the state that the case expects, under the shipped policy."""
    state, said = GuardState.NORMAL, {}
    for number, look in enumerate(case["looks"]):
        said = {**said, **look}
        month = month_of(to_ms(f"{look['month']}-28T08:00:00Z"))
        used = usage(Vintages(_loans(said)), "farmer", month, GUARD)
        state = next_state(state, used, GUARD)
        assert look["used_pct"] == pytest.approx(used.used_pct, abs=0.05), f"look {number}"
        assert look["state"] == state.value, f"look {number}"
