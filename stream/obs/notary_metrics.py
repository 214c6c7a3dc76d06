"""What the notary shows: that it goes round, what it signed, and what it has not signed yet."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server


class NotaryMetrics:
    """The notary's metrics, on a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register every metric."""
        self._registry = registry = registry or CollectorRegistry()
        self.checkpoints = Counter(
            "tenminute_notary_checkpoints_total", "Checkpoints signed", registry=registry
        )
        self.unsigned = Gauge(
            "tenminute_notary_unsigned_records", "Audit records read and not signed for yet",
            registry=registry,
        )  # fmt: skip
        self.progress_at = Gauge(
            "tenminute_notary_progress_timestamp_seconds",
            "When the notary last went round its loop",
            registry=registry,
        )

    def serve(self, host: str, port: int) -> None:
        """Answer at /metrics from now on, in a thread of its own; port 0 does not."""
        if port:
            start_http_server(port, host, self._registry)
