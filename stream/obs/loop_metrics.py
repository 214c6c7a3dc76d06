"""What a worker counts of its loop: transactions, partitions, backlog and deadlines."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

READ_ERRORS: Final = ("unauthorized", "unauthenticated", "missing", "away", "late", "other")
TRANSACTION_RESULTS: Final = ("committed", "aborted", "fenced", "unknown", "refused")


class LoopMetrics:
    """How the loop fares; a part of the engine's metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every metric and set every known label value to zero."""
        self.undecided_age = Gauge(
            "tenminute_undecided_age_seconds",
            "Age of the oldest application in the newest batch; 0 with nothing to decide",
            registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self.deadline_left = Gauge(
            "tenminute_deadline_left_seconds",
            "Least time to a deadline in the newest batch; below 0 it is missed",
            registry=registry, multiprocess_mode="livemin",
        )  # fmt: skip
        self.backlog = Gauge(
            "tenminute_backlog_records", "Records of the inputs not yet read, as last fetched",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.held = Gauge(
            "tenminute_partitions_held", "Partitions standing still: an output topic refuses them",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.commits = Counter(
            "tenminute_transactions_total", "Transactions by result", ["result"], registry=registry
        )
        self.partitions = Gauge(
            "tenminute_partitions_assigned", "Partitions held by live workers",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.ledger_ids = Gauge(
            "tenminute_ledger_ids", "Application ids in the ledgers of live workers",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.progress_at = Gauge(
            "tenminute_worker_progress_timestamp_seconds",
            "When the slowest-known worker last went round its loop",
            registry=registry, multiprocess_mode="livemin",
        )  # fmt: skip
        self.read_errors = Counter(
            "tenminute_read_errors_total", "What clients said of reading the inputs, by kind",
            ["kind"], registry=registry,
        )  # fmt: skip
        self.unreadable = Gauge(
            "tenminute_inputs_unreadable", "Input topics that live workers cannot read",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        for kind in READ_ERRORS:
            self.read_errors.labels(kind)
        for result in TRANSACTION_RESULTS:
            self.commits.labels(result)
