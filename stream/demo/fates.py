"""What became of replayed loans: outcomes that follow approvals on the compressed calendar."""

from __future__ import annotations

import time
from collections import deque
from threading import Event

import msgspec

from stream.codec.headers import cloud_event
from stream.config import Settings
from stream.demo.sba import SbaReplay
from stream.demo.synthetic import Row
from stream.demo.tables import publish_rows
from stream.domain.decision import Decision
from stream.domain.outcome import LoanOutcome
from stream.domain.topics import OUTCOMES

_encoder = msgspec.json.Encoder()


class Fates:
    """Sends the outcome of every approved loan once its day has come."""

    def __init__(
        self, settings: Settings, replay: SbaReplay, approved: dict[str, Decision]
    ) -> None:
        """Look decisions up in `approved`, by decision id, which somebody else keeps filling."""
        self._settings, self._replay, self._approved = settings, replay, approved
        self._waiting = deque(replay.due())
        self.sent = 0

    def send_due(self, elapsed_ms: float, stop: Event) -> None:
        """Publish all outcomes due by `elapsed_ms` of the replay; refused loans have none."""
        outcomes: list[LoanOutcome] = []
        now_ms = time.time_ns() // 1_000_000
        while self._waiting and self._waiting[0][0] <= elapsed_ms:
            decision = self._approved.get(self._waiting.popleft()[1])
            if decision is not None:
                outcomes.append(self._replay.outcome(decision, now_ms))
        if outcomes:
            rows = ((_row(each), _headers(each)) for each in outcomes)
            self.sent += publish_rows(self._settings, OUTCOMES, rows, lambda _: None, stop)


def _row(outcome: LoanOutcome) -> Row:
    return Row(outcome.applicant_token.encode(), _encoder.encode(outcome))


def _headers(outcome: LoanOutcome) -> list[tuple[str, bytes]]:
    return cloud_event(
        "loan.outcome.v1",
        "/core-banking/demo",
        outcome.outcome_id,
        outcome.occurred_at,
    )
