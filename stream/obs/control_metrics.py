"""What a worker counts of `decision.control`."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

CONTROL_RESULTS: Final = (
    "applied", "superseded", "unsigned", "unknown_key", "bad_signature", "unreadable",
    "wrong_switch", "out_of_time", "unknown_model",
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
        for result in CONTROL_RESULTS:
            self.records.labels(result)
