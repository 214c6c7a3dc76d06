"""What the watch shows: drift, vintages, the bad-rate budget and the guard."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from stream.domain.application import Segment
from stream.domain.topics import AUDIT, OUTCOMES

RECORD_RESULTS: Final = ("taken", "passed_over", "unreadable")
BOUNDS: Final = ("share", "low", "high")
_SERIES: Final = ["segment", "arm", "series"]


class WatchMetrics:
    """The watch's metrics, on a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register every metric and set every known label value to zero."""
        self._registry = registry = registry or CollectorRegistry()
        self.records = Counter(
            "tenminute_watch_records_total", "Records read", ["topic", "result"], registry=registry
        )
        self.unknown = Gauge(
            "tenminute_watch_unknown_model_records",
            "Scored decisions since the start whose model has no training rows here",
            registry=registry,
        )
        self.windows = Counter(
            "tenminute_watch_windows_total", "Windows judged", ["segment", "arm"], registry=registry
        )
        self.alarms = Counter(
            "tenminute_watch_drift_alarms_total", "Windows in which a series drifted",
            ["segment", "series"], registry=registry,
        )  # fmt: skip
        self.psi = Gauge(
            "tenminute_watch_psi", "Stability index of the last full window", _SERIES,
            registry=registry,
        )  # fmt: skip
        self.missing = Gauge(
            "tenminute_watch_missing_ratio", "Share unknown in the last full window", _SERIES,
            registry=registry,
        )  # fmt: skip
        self.outside = Gauge(
            "tenminute_watch_outside_ratio", "Share beyond all training rows, last full window",
            _SERIES, registry=registry,
        )  # fmt: skip
        self.bad = Gauge(
            "tenminute_watch_bad_ratio",
            "Share of paid-out loans gone bad within the guard's window, with its 95 % interval",
            ["segment", "model", "arm", "by", "bound"], registry=registry,
        )  # fmt: skip
        self.budget_used = Gauge(
            "tenminute_watch_budget_used_ratio", "Spent over earned bad-rate budget",
            ["segment"], registry=registry,
        )  # fmt: skip
        self.guard_state = Gauge(
            "tenminute_watch_guard_state", "In force: 0 normal, 1 tightened, 2 all referred",
            ["segment"], registry=registry,
        )  # fmt: skip
        self.commands = Counter(
            "tenminute_watch_commands_total", "Guard commands, and what failed of them and before",
            ["result"], registry=registry,
        )  # fmt: skip
        self.progress_at = Gauge(
            "tenminute_watch_progress_timestamp_seconds", "When the watch last went round its loop",
            registry=registry,
        )  # fmt: skip
        self._zero()

    def know(self, segment: str, series: Iterable[str]) -> None:
        """A model's series exist from now on, with no alarm yet."""
        for name in series:
            self.alarms.labels(segment, name)

    def serve(self, host: str, port: int) -> None:
        """Answer at /metrics from now on, in a thread of its own; port 0 does not."""
        if port:
            start_http_server(port, host, self._registry)

    def _zero(self) -> None:
        for topic in (AUDIT, OUTCOMES):
            for result in RECORD_RESULTS:
                self.records.labels(topic, result)
        for segment in Segment:
            self.budget_used.labels(segment.value)
            self.guard_state.labels(segment.value)
            self.windows.labels(segment.value, "champion")
        for result in ("published", "failed"):
            self.commands.labels(result)
