"""Counting what a batch became, once per batch and only after it has committed."""

from __future__ import annotations

import time
from collections import Counter as Tally

from stream.batch import Batch
from stream.domain.decision import Outcome
from stream.domain.instant import to_ms
from stream.domain.topics import APPLICATIONS
from stream.obs.metrics import EngineMetrics
from stream.strays import channel_of


class Stopwatch:
    """Seconds per stage; `poll` ends the waiting for a batch, which is nobody's time."""

    def __init__(self, metrics: EngineMetrics) -> None:
        self._metrics = metrics
        self._last = time.perf_counter()

    def mark(self, stage: str) -> None:
        """End of a stage: its seconds are since the mark before."""
        now = time.perf_counter()
        if stage != "poll":
            self._metrics.stage_seconds.labels(stage).inc(now - self._last)
        self._last = now


def count_batch(metrics: EngineMetrics, batch: Batch, committed_at_ms: int) -> None:
    """Add one committed batch to the metrics."""
    metrics.loop.commits.labels("committed").inc()
    # A stray is received where it is sent on to.
    away = sum(record.topic == APPLICATIONS for record in batch.strays)
    metrics.received.inc(batch.applications - away)
    metrics.batch_records.observe(batch.received)
    metrics.duplicates.inc(batch.duplicates)
    for reason, count in Tally(error.reason for _, error in batch.buried).items():
        metrics.dead_letters.labels(reason).inc(count)
    decided: Tally[tuple[str, str, str]] = Tally()
    reasons: Tally[str] = Tally()
    approved_fen: Tally[str] = Tally()
    for decision in batch.decisions:
        decided[decision.outcome, decision.channel, decision.segment] += 1
        if decision.reasons:
            reasons[decision.reasons[0].code] += 1
        if decision.outcome is Outcome.APPROVE:
            approved_fen[decision.segment] += decision.approved_amount_fen
        if decision.stage == 1:  # how long a reviewer took is no latency of ours
            waited_ms = committed_at_ms - to_ms(decision.submitted_at)
            metrics.latency.labels(decision.channel).observe(max(0, waited_ms) / 1000)
    for labels, count in decided.items():
        metrics.decisions.labels(*labels).inc(count)
    for reason, count in reasons.items():
        metrics.reasons.labels(reason).inc(count)
    for segment, fen in approved_fen.items():
        metrics.approved_fen.labels(segment).inc(fen)
    metrics.events.inc(batch.events)
    for channel, count in Tally(map(channel_of, batch.strays)).items():
        metrics.strays.labels(channel).inc(count)
    late = sum(each.stage == 1 and not each.deadline_met for each in batch.decisions)
    metrics.deadline_missed.inc(late)
