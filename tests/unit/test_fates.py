"""Outcomes of replayed loans: due in calendar order, for approved loans only."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest
from loan_records import decision_of
from msgspec import json

from stream.config import load_settings
from stream.demo import fates as module
from stream.demo.fates import Fates
from stream.demo.sba import Fate, SbaReplay
from stream.domain.outcome import OutcomeEvent


def test_outcomes_follow_in_calendar_order_for_approved_loans_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is due and approved is sent once; a refused loan has no outcome; the rest waits."""
    approved = {d.decision_id: d for d in (decision_of(1), decision_of(3))}
    replay = SbaReplay(
        [],
        [],
        {
            "application-1": Fate(20, OutcomeEvent.DEFAULT, 0.5, decision_of(1).decision_id),
            "application-2": Fate(10, OutcomeEvent.REPAID, 0.0, decision_of(2).decision_id),
            "application-3": Fate(90, OutcomeEvent.REPAID, 0.0, decision_of(3).decision_id),
        },
    )
    sent: list[dict[str, Any]] = []

    def publish_rows(_settings: object, topic: str, rows: Any, *_: object) -> int:
        taken = [(row, headers) for row, headers in rows]
        sent.extend({"topic": topic, **json.decode(row.value)} for row, _ in taken)
        return len(taken)

    monkeypatch.setattr(module, "publish_rows", publish_rows)
    fates = Fates(load_settings(), replay, approved)
    fates.send_due(50, Event())
    assert [outcome["event"] for outcome in sent] == ["default"]
    assert sent[0]["loss_fen"] == 50
    fates.send_due(50, Event())
    fates.send_due(float("inf"), Event())
    assert [outcome["application_id"] for outcome in sent] == ["application-1", "application-3"]
    assert {outcome["topic"] for outcome in sent} == {"loan.outcomes"}
    assert fates.sent == 2
