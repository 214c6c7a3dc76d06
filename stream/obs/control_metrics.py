"""What a worker counts of `decision.control`."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

CONTROL_RESULTS: Final = (
    "applied", "superseded", "unsigned", "unknown_key", "bad_signature", "unreadable",
    "wrong_switch", "out_of_time", "unknown_model", "four_eyes", "model_refused", "beyond_key",
)  # fmt: skip
LAST_AFFECTED_BUCKETS: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
)  # fmt: skip


class ControlMetrics:
    """Commands, refusals and stops; a part of the engine's metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register every metric and set every known label value to zero."""
        self.records = Counter(
            "tenminute_control_records_total", "Records of decision.control read, per worker",
            ["result"], registry=registry,
        )  # fmt: skip
        self.acks_failed = Counter(
            "tenminute_control_acks_failed_total", "Acknowledgements the broker did not take",
            registry=registry,
        )  # fmt: skip
        self.stops = Gauge(
            "tenminute_control_stops", "Stops in force by command",
            registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self.offset = Gauge(
            "tenminute_control_offset", "Offset of decision.control that the slowest worker is at",
            registry=registry, multiprocess_mode="livemin",
        )  # fmt: skip
        self.last_affected = Histogram(
            "tenminute_control_last_affected_seconds",
            "From a command's issue to a worker's last decision without it; 0 when before it",
            buckets=LAST_AFFECTED_BUCKETS, registry=registry,
        )  # fmt: skip
        for result in CONTROL_RESULTS:
            self.records.labels(result)
