"""The credit cases under `cases/`: data a credit officer reads and adds to."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from policy_cases import decide, review

from stream.policy.rules import Verdict

_FOLDER = Path(__file__).parent / "cases"
_CHECKED = {"outcome", "amount_yuan", "reasons", "queue", "overridable", "band", "counter_offer"}


def _cases(folder: Path) -> list[Any]:
    return [
        pytest.param(case, id=f"{file.stem}: {case['name']}")
        for file in sorted(folder.glob("*.toml"))
        for case in tomllib.loads(file.read_text(encoding="utf-8"))["case"]
    ]


def _change(case: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in case.items() if k not in {"name", "because", "expect"}}


def _check(expected: dict[str, Any], verdict: Verdict) -> None:
    got = {
        "outcome": verdict.outcome.value,
        "amount_yuan": verdict.approved_amount_fen / 100,
        "reasons": [code.value for code in verdict.reasons],
        "queue": verdict.queue,
        "overridable": verdict.overridable,
        "band": verdict.band,
        "counter_offer": verdict.counter_offer,
    }
    assert set() == expected.keys() - _CHECKED
    assert expected == {key: got[key] for key in expected}


@pytest.mark.parametrize("case", _cases(_FOLDER))
def test_case_comes_out_as_the_officer_wrote(case: dict[str, Any]) -> None:
    """What the case expects is what the shipped policy decides."""
    _check(case["expect"], decide(_change(case))[0])


@pytest.mark.parametrize("case", _cases(_FOLDER / "reviews"))
def test_an_answer_comes_out_as_the_officer_wrote(case: dict[str, Any]) -> None:
    """What becomes of a reviewer's answer is what the case expects."""
    _check(case["expect"], review(_change(case))[0])
