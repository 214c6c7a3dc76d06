"""The credit cases under `cases/`: data a credit officer reads and adds to."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from policy_cases import decide

_FILES = sorted((Path(__file__).parent / "cases").glob("*.toml"))
_CASES = [
    pytest.param(case, id=f"{file.stem}: {case['name']}")
    for file in _FILES
    for case in tomllib.loads(file.read_text(encoding="utf-8"))["case"]
]
_CHECKED = {"outcome", "amount_yuan", "reasons", "queue", "overridable", "band", "counter_offer"}


@pytest.mark.parametrize("case", _CASES)
def test_case_comes_out_as_the_officer_wrote(case: dict[str, Any]) -> None:
    """What the case expects is what the shipped policy decides."""
    change = {k: v for k, v in case.items() if k not in {"name", "because", "expect"}}
    verdict, _ = decide(change)
    got = {
        "outcome": verdict.outcome.value,
        "amount_yuan": verdict.approved_amount_fen / 100,
        "reasons": [code.value for code in verdict.reasons],
        "queue": verdict.queue,
        "overridable": verdict.overridable,
        "band": verdict.band,
        "counter_offer": verdict.counter_offer,
    }
    expected = case["expect"]
    assert set() == expected.keys() - _CHECKED
    assert expected == {key: got[key] for key in expected}
