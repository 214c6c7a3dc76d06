"""`tenminute watch`: follow decisions and outcomes, say what drifts, guard the bad-rate budget.

One process beside the engine, not in it: what it concludes reaches the workers as
a signed command on `decision.control` and in no other way. A decision is so never
made on anything that its audit record does not name, and the transaction of a
decision waits for nothing of the watch.
"""

from __future__ import annotations

import time
from threading import Event
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.typing import FilteringBoundLogger

from stream.codec.decision_v1 import decision_audit
from stream.config import Settings
from stream.domain.application import Segment
from stream.domain.outcome import LoanOutcome
from stream.domain.topics import AUDIT
from stream.edge.watch_book import WatchBook
from stream.edge.watch_feed import WatchFeed, read_to_ends
from stream.edge.watch_models import WatchedModels
from stream.errors import BrokerError
from stream.obs.watch_metrics import WatchMetrics
from stream.ops.watch_guard import GuardHand
from stream.ops.watch_show import show_numbers
from stream.policy.load import load_policy
from stream.ports import Record
from stream.watch.drift import DriftTerms, Population
from stream.watch.guard import GuardState, next_state
from stream.watch.report import report
from stream.watch.watch import Terms, Watch

READ_SECONDS, SAVE_SECONDS = 0.5, 2.0
_outcome = msgspec.json.Decoder(LoanOutcome)


class Watcher:
    """Reads on from its book, judges, commands and saves."""

    def __init__(
        self,
        settings: Settings,
        book: WatchBook,
        private: Ed25519PrivateKey | None,
        metrics: WatchMetrics,
        log: FilteringBoundLogger,
    ) -> None:
        """Without a key the guard only says what it would command."""
        self._settings, self._book, self._metrics, self._log = settings, book, metrics, log
        self._guard = load_policy(settings.policy_file).guard
        self._models = WatchedModels(settings, log)
        for segment, series in self._models.series():
            metrics.know(segment, series)
        drift = DriftTerms(window_events=settings.watch_window_events, level=settings.watch_level)
        terms = Terms(self._models.references, self._guard, drift)
        self._feed = WatchFeed(settings, book.offsets(), log)
        book.belongs_to(self._feed.cluster_id)
        self._watch = Watch(terms, book, book.loans(), book.kept())
        self._hand = GuardHand(settings, private)
        self._said: dict[Segment, GuardState] = {}

    def run(self, stop: Event) -> None:
        """Watch until told to stop; what was read is saved."""
        saved_at = time.monotonic()
        self._log.info("watching", month=self._watch.month, orders=self._hand.may_order)
        while not stop.is_set():
            self._round()
            if time.monotonic() - saved_at >= SAVE_SECONDS:
                self._settle()
                saved_at = time.monotonic()
        self._settle()

    def once(self, seconds: float) -> dict[str, Any]:
        """Read to the ends as of now and say how things stand; commands nothing."""
        read_to_ends(self._feed, seconds, self._round, "tenminute watch run")
        self._hand.look()
        return report(self._watch, self._hand.states, self._guard)

    def close(self) -> None:
        """Let go of the broker."""
        self._feed.close()

    def _round(self) -> None:
        for record in self._feed.read(READ_SECONDS):
            result = self._take(record)
            self._metrics.records.labels(record.topic, result).inc()
        if self._watch.drift.unknown != self._models.unknown_at_scan:
            self._models.scan(self._watch.drift.unknown)
        self._metrics.progress_at.set(time.time())

    def _take(self, record: Record) -> str:
        """Count one record; one that cannot be read is passed over, never waited for."""
        try:
            if record.topic != AUDIT:
                self._watch.hear_outcome(_outcome.decode(record.value or b""))
                return "taken"
            audit = decision_audit(record.value or b"")
            if audit is None:
                return "passed_over"
            filled = self._watch.hear_audit(audit)
        except (msgspec.MsgspecError, ValueError) as error:
            self._feed.pass_over(record, error)
            return "unreadable"
        if filled is not None:
            self._tell(filled)
        return "taken"

    def _tell(self, filled: Population) -> None:
        """Show a window that has just been judged."""
        self._metrics.windows.labels(filled.segment, filled.arm).inc()
        for each in filled.latest:
            labels = (filled.segment, filled.arm, each.series)
            self._metrics.psi.labels(*labels).set(each.psi)
            self._metrics.missing.labels(*labels).set(each.missing)
            self._metrics.outside.labels(*labels).set(each.outside)
            if each.alarms:
                self._metrics.alarms.labels(filled.segment, each.series).inc()
                self._log.warning(
                    "drift", segment=filled.segment, arm=filled.arm, version=filled.version,
                    series=each.series, psi=round(each.psi, 4), because=each.alarms,
                )  # fmt: skip

    def _settle(self) -> None:
        """Judge the budget once all that was there has been read, then save."""
        if self._feed.caught_up:
            try:
                self._judge()
            except BrokerError as error:  # tried again: the next look finds the same due
                self._metrics.commands.labels("failed").inc()
                self._log.warning("guard_failed", problem=error.message)
        show_numbers(self._metrics, self._watch, self._hand.states, self._guard)
        self._book.save(self._feed.offsets(), self._watch.kept)

    def _judge(self) -> None:
        """Have the workers hold what is due, or say so where there is no key to order it with."""
        self._hand.look()
        for segment, used in self._watch.usage().items():
            state = self._hand.states[segment]
            due = next_state(state, used, self._guard)
            if due is state:
                continue
            words = used.in_words
            if self._said.get(segment) is not due:
                self._said[segment] = due
                self._log.warning("guard", segment=segment.value, due=due.value, because=words)
            if self._hand.may_order:
                self._hand.order(segment, due, self._guard.raise_points, words)
                self._metrics.commands.labels("published").inc()
