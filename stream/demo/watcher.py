"""Fills the live page: reads decisions, dead letters and outcomes as anybody else would."""

from __future__ import annotations

import threading
import time
from collections import deque

from confluent_kafka import TopicPartition
from msgspec import json

from stream.codec.decision_v1 import decode_decision
from stream.config import Settings
from stream.demo.parts import counter, get
from stream.demo.reconcile import Offsets
from stream.demo.state import DemoState
from stream.domain.decision import Decision, Outcome
from stream.domain.outcome import LoanOutcome, OutcomeEvent
from stream.domain.topics import DEAD_LETTERS, DECISIONS, OUTCOMES
from stream.edge.clients import consumer
from stream.loop.reader import FunnelReader

RECORDS_MAX = 2_000
RATE_OVER_SECONDS = 3.0
FUNNEL_EVERY_SECONDS = 1.0
_outcome = json.Decoder(LoanOutcome)


class Watcher:
    """A thread that keeps a `DemoState` up to date until stopped."""

    def __init__(
        self, settings: Settings, state: DemoState, since: Offsets, *, with_funnel: bool
    ) -> None:
        """Watch from `since` on; the funnel only where a loop worker runs."""
        self._settings, self._state = settings, state
        self._with_funnel = with_funnel
        self._consumer = consumer(settings, "tenminute-demo-watcher")
        places = [
            TopicPartition(topic, partition, offset)
            for topic in (DECISIONS, DEAD_LETTERS, OUTCOMES)
            for partition, offset in since.get(topic, {}).items()
        ]
        self._consumer.assign(places)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._recent: deque[tuple[float, int]] = deque()
        self.error: Exception | None = None
        self.approved: dict[str, Decision] = {}

    def start(self) -> None:
        """Begin watching."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and let go of the broker."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        try:
            if self._with_funnel:
                with FunnelReader(self._settings) as funnel:
                    self._follow(funnel)
            else:
                self._follow(None)
        except Exception as error:  # noqa: BLE001  (handed to the demo, which raises it)
            self.error = error

    def _follow(self, funnel: FunnelReader | None) -> None:
        looked_at = 0.0
        while not self._stop.is_set():
            for message in self._consumer.consume(RECORDS_MAX, 0.1):
                if message.error() is None:
                    self._take(message.topic() or "", message.value() or b"", message.headers())
            now = time.monotonic()
            self._measure_rate(now)
            if now - looked_at >= FUNNEL_EVERY_SECONDS:
                looked_at = now
                _, page = get(self._settings, "/metrics")
                self._state.duplicates = counter(page, "tenminute_duplicates_total")
                if funnel is not None:
                    self._state.funnel = funnel.totals()

    def _take(self, topic: str, value: bytes, headers: object) -> None:
        if topic == DECISIONS:
            decision = decode_decision(value)
            self._state.take(decision)
            if decision.outcome is Outcome.APPROVE:
                self.approved[decision.decision_id] = decision
        elif topic == DEAD_LETTERS:
            pairs = headers if isinstance(headers, list) else []
            reason = next((text for name, text in pairs if name == "x-error-reason"), b"")
            self._state.dead_letters[reason.decode()] += 1
        elif _outcome.decode(value).event is OutcomeEvent.DISBURSED:
            self._state.paid += 1

    def _measure_rate(self, now: float) -> None:
        """Decisions a second over the last three seconds."""
        self._recent.append((now, self._state.answered))
        while now - self._recent[0][0] > RATE_OVER_SECONDS:
            self._recent.popleft()
        began, then = self._recent[0]
        if now > began:
            self._state.per_second = (self._state.answered - then) / (now - began)
