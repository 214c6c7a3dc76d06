"""`explain` reads like a credit memo: what, why, by which rules, on which facts."""

from __future__ import annotations

import io
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import raw
from policy_cases import POLICY, SOUND, TOKEN, case_of, decide, merged
from rich.cells import cell_len
from rich.console import Console

from stream.batch import Row
from stream.compose import Moment, Scored, compose_audit, compose_decision
from stream.config import load_settings
from stream.domain.decision import Audit
from stream.edge.onnx_scorer import OnnxScorer
from stream.ops.last_run import reachable
from stream.ops.memo import WIDTH_MAX, memo
from stream.ops.memo_score import BAR_CELLS
from stream.ops.memo_words import lasting, money, value_of
from stream.policy.rules import BreakerWindow
from stream.policy.trail import whole_trail

RELEASE = OnnxScorer(next((Path(__file__).parents[2] / "models" / "onnx" / "consumer").glob("*/")))
MANIFEST = RELEASE.manifest
SHA = "ab" * 32


def audit_of(*changes: dict[str, Any], harm: float | None = -0.2) -> Audit:
    """The audit record of a changed sound case; `harm` moves the first family, None: no model."""
    scored = None
    if harm is not None:
        centres = [family.centre_log_odds for family in MANIFEST.families]
        shifts = [harm] + [0.1 * (-1) ** n for n in range(1, len(centres))]
        outputs = [centre + shift for centre, shift in zip(centres, shifts, strict=True)]
        outputs.append(-2.5)
        (scored,) = Scored.all_of(np.array([outputs], dtype=np.float32), RELEASE)
        families = [list(pair) for pair in scored.score.by_family]
        score = {"points": scored.score.points, "pd": scored.score.pd, "families": families}
        changes = ({"score": score}, *changes)
    verdict, trail = decide(*changes)
    case = case_of(reduce(merged, changes, SOUND))
    decision = compose_decision(case, verdict, scored, POLICY, SHA)
    features = [float(n) / 3 for n in range(len(MANIFEST.features))]
    row = Row(raw(b"{}", partition=3, offset=41), case.app)
    row.trail, row.features, row.scored = trail, features, scored
    moment = Moment(row.record, BreakerWindow(7, 7_000_000, 20, 10**12), 4, 6)
    return compose_audit(decision, case.app, case, row, moment)


def shown(audit: Audit, width: int = WIDTH_MAX) -> str:
    console = Console(record=True, width=width, file=io.StringIO(), highlight=False)
    console.print(memo(audit))
    return console.export_text()


APPROVED = audit_of()
COUNTERED = audit_of({"application": {"requested_amount_fen": 9_000_000}})
BELOW_CUT_OFF = audit_of(harm=9.0)
UNLISTED = audit_of({"offer": "absent"} | {"bureau": {"status": "no_hit"}}, harm=None)


@pytest.mark.parametrize("width", [80, WIDTH_MAX])
@pytest.mark.parametrize("audit", [APPROVED, COUNTERED, BELOW_CUT_OFF, UNLISTED])
def test_a_memo_fits_its_columns_and_names_nobody(audit: Audit, width: int) -> None:
    """No line is wider than the page, Chinese counted double, and no whole token is shown."""
    text = shown(audit, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert TOKEN not in text
    assert TOKEN[:9] in text
    if width == WIDTH_MAX:
        assert POLICY.sha256 in text
        assert SHA in text


def test_a_counter_offer_says_how_much_and_why_not_all() -> None:
    """The headline has both amounts, the reasons both languages and the Form C-1 number."""
    text = shown(COUNTERED)
    amount = money(COUNTERED.decision.approved_amount_fen)
    assert f"APPROVED   {amount} yuan of 90,000.00 yuan asked" in text
    assert "counter-offer" in text
    assert "Why less than asked" in text
    for reason in COUNTERED.decision.reasons:
        assert reason.text_en in text
        assert reason.text_zh in text
        assert f"Form C-1 no. {reason.form_c1}" in text


def test_a_referral_says_where_until_when_and_whether_it_may_be_overridden() -> None:
    """Queue, due time, overridable and trigger stand at the top."""
    referral = BELOW_CUT_OFF.decision.referral
    assert referral is not None
    text = shown(BELOW_CUT_OFF)
    assert f"REFERRED   to queue {referral.queue}, 50,000.00 yuan asked" in text
    assert "override" in text
    assert referral.trigger in text


def test_every_rule_is_shown_in_order_with_its_mark() -> None:
    """Passed, limiting and referring rules stand in the order they ran, with what they saw."""
    text = shown(COUNTERED)
    section = text[text.index("Rules, in the order") : text.index("What was known")]
    marks = {"pass": "✓", "limit": "→", "refer": "✗", "skip": "–"}
    rows = [
        f"{marks[hit.result]}  {hit.rule.replace('_', ' ')}" for hit in whole_trail(COUNTERED.rules)
    ]
    places = [section.index(row) for row in rows]
    assert places == sorted(places)
    assert "asked 90,000.00" in section


def test_bars_point_to_what_the_family_did() -> None:
    """The most harmful family comes first, right of the axis and full; helpful ones lie left."""
    lines = shown(BELOW_CUT_OFF).splitlines()
    start = next(n for n, line in enumerate(lines) if "riskier" in line)
    bars = lines[start + 1 : start + 1 + len(MANIFEST.families)]
    left, right = bars[0].split("│")
    assert "+9.00" in left
    assert right.strip() == "█" * BAR_CELLS
    left, right = bars[-1].split("│")
    assert "−0.10" in left
    assert not right.strip()


def test_a_path_that_ended_before_the_model_has_no_score() -> None:
    """Without a score the memo says so, and shows neither bars nor features."""
    text = shown(UNLISTED)
    assert "the path ended before the model" in text
    assert "riskier" not in text
    assert "Offer        none" in text


@pytest.mark.parametrize(
    ("expected", "name", "value"),
    [
        ("room 1,234.05", "room_fen", 123_405),
        ("left 9 min", "left_ms", 540_000),
        ("apr 4.35 %", "apr_bps", 435),
        ("halted no", "halted", False),
        ("status n/a", "status", None),
        ("valid to 2027-01-01", "valid_to", "2027-01-01T00:00:00Z"),
        ("asked 50,000.00", "asked_fen", 5_000_000.0),
        ("amount to income 0.4167", "amount_to_income", 5 / 12),
        ("approved count 1,200", "approved_count", 1_200),
    ],
)
def test_values_are_written_in_their_unit(expected: str, name: str, value: Any) -> None:
    """A value is shown in the unit its name carries."""
    assert value_of(name, value) == expected


@pytest.mark.parametrize(("expected", "span"), [("12 ms", 12), ("4.5 days", 388_800_000)])
def test_spans_take_a_unit_a_person_can_judge(expected: str, span: int) -> None:
    """Short spans are in milliseconds, long ones in days."""
    assert lasting(span) == expected


def test_a_named_broker_is_taken_at_its_word(tmp_path: Path) -> None:
    """With a broker named, or no demo kept, no other broker is looked for."""
    settings = load_settings(state_dir=tmp_path)
    with reachable("127.0.0.1:1", settings) as servers:
        assert servers == "127.0.0.1:1"
    with reachable(None, settings) as servers:
        assert servers == settings.bootstrap
