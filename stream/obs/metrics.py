"""All metric names in one place; base units, closed label sets, initialised to zero."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream.domain.application import Channel, Segment
from stream.domain.decision import Outcome
from stream.domain.reasons import ReasonCode
from stream.domain.topics import BUREAU, WHITELIST
from stream.obs.control_metrics import ControlMetrics
from stream.obs.loop_metrics import LoopMetrics

LATENCY_BUCKETS: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600,
)  # fmt: skip
BATCH_BUCKETS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500)
STAGES: Final = ("decode", "admit", "enrich", "score", "decide", "encode", "produce", "commit")
DEAD_LETTER_REASONS: Final = ("unreadable", "invalid", "conflict", "oversize", "wrong_key")
STORE_TOPICS: Final = (WHITELIST, BUREAU)
STORE_RESULTS: Final = ("put", "deleted", "older", "malformed")


class EngineMetrics:
    """The engine's metrics, on a registry of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every metric and set every known label value to zero."""
        self.received = Counter(
            "tenminute_applications_received_total",
            "Applications read on their own partition, committed", registry=registry,
        )  # fmt: skip
        self.decisions = Counter(
            "tenminute_decisions_total", "Decisions committed",
            ["outcome", "channel", "segment"], registry=registry,
        )  # fmt: skip
        self.reasons = Counter(
            "tenminute_decision_reasons_total", "First-ranked reason of decisions committed",
            ["reason"], registry=registry,
        )  # fmt: skip
        self.dead_letters = Counter(
            "tenminute_dead_letters_total", "Dead letters committed", ["reason"], registry=registry
        )
        self.duplicates = Counter(
            "tenminute_duplicates_total",
            "Applications seen before with the same content, not decided again", registry=registry,
        )  # fmt: skip
        self.approved_fen = Counter(
            "tenminute_approved_fen_total", "Fen approved", ["segment"], registry=registry
        )
        self.latency = Histogram(
            "tenminute_decision_latency_seconds", "submitted_at to commit",
            ["channel"], buckets=LATENCY_BUCKETS, registry=registry,
        )  # fmt: skip
        self.deadline_missed = Counter(
            "tenminute_deadline_missed_total", "Decisions after decide_by", registry=registry
        )
        self.strays = Counter(
            "tenminute_strays_total", "Records sent on to the partition of their key",
            ["channel"], registry=registry,
        )  # fmt: skip
        self.events = Counter(
            "tenminute_application_events_total", "Application events taken into the ledger",
            registry=registry,
        )  # fmt: skip
        self.stage_seconds = Counter(
            "tenminute_stage_seconds_total", "Time spent per stage", ["stage"], registry=registry
        )
        self.batch_records = Histogram(
            "tenminute_batch_records", "Records per transaction",
            buckets=BATCH_BUCKETS, registry=registry,
        )  # fmt: skip
        self.store_fresh_at = Gauge(
            "tenminute_store_fresh_timestamp_seconds",
            "When the store had last caught up with its topics",
            registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self.store_updates = Counter(
            "tenminute_store_updates_total", "Records taken into the store",
            ["topic", "result"], registry=registry,
        )  # fmt: skip
        self.control = ControlMetrics(registry)
        self.loop = LoopMetrics(registry)
        self.model_info = Gauge(
            "tenminute_model_info", "1 for every model loaded",
            ["model", "version"], registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self.policy_info = Gauge(
            "tenminute_policy_info", "1 for the policy in force",
            ["policy"], registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self._zero()

    def _zero(self) -> None:
        for segment in Segment:
            self.approved_fen.labels(segment.value)
            for outcome in Outcome:
                for channel in Channel:
                    self.decisions.labels(outcome.value, channel.value, segment.value)
        for channel in Channel:
            self.latency.labels(channel.value)
            self.strays.labels(channel.value)
        self.strays.labels("unknown")
        for code in ReasonCode:
            self.reasons.labels(code.value)
        for reason in DEAD_LETTER_REASONS:
            self.dead_letters.labels(reason)
        for stage in STAGES:
            self.stage_seconds.labels(stage)
        for topic in STORE_TOPICS:
            for result in STORE_RESULTS:
                self.store_updates.labels(topic, result)
