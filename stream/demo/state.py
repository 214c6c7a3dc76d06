"""What the demo's live page shows: a plain record that the demo fills and the screen reads."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from dataclasses import dataclass, field

from stream.domain.application import Channel
from stream.domain.decision import Decision, Outcome
from stream.domain.instant import to_ms
from stream.loop.funnel import Counts

_EDGES_PER_DOUBLING = 8
_EDGES_MS = tuple(2 ** (step / _EDGES_PER_DOUBLING) for step in range(26 * _EDGES_PER_DOUBLING))


class LatencyHistogram:
    """Counts of latencies in buckets 9 % wide from 1 ms to 18 hours; its size never grows."""

    def __init__(self) -> None:
        """Start empty."""
        self._counts = [0] * (len(_EDGES_MS) + 1)
        self.count = 0

    def add(self, latency_ms: float) -> None:
        """Count one latency."""
        self._counts[bisect.bisect_left(_EDGES_MS, latency_ms)] += 1
        self.count += 1

    def quantile_ms(self, quantile: float) -> float | None:
        """Upper edge of the bucket that holds the quantile; None while empty."""
        if self.count == 0:
            return None
        rank, seen = quantile * self.count, 0
        for index, count in enumerate(self._counts):
            seen += count
            if count and seen >= rank:
                return _EDGES_MS[min(index, len(_EDGES_MS) - 1)]
        return _EDGES_MS[-1]


@dataclass(slots=True)
class Tallied:
    """Decisions of one channel or of one channel and segment."""

    sent: int = 0
    decided: int = 0
    approved: int = 0

    @property
    def referred(self) -> int:
        """Decided and not approved."""
        return self.decided - self.approved


Cell = tuple[str, str]
"""Channel and segment."""


@dataclass(slots=True)
class DemoState:
    """Everything on the page; the demo writes it, `Screen.refresh` draws it."""

    phase: str = "starting"
    broker: str = ""
    notes: list[str] = field(default_factory=list)
    loaded: int = 0
    to_load: int = 0
    to_send: int = 0
    sent_by_channel: Counter[str] = field(default_factory=Counter)
    cells: dict[Cell, Tallied] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    paid: int = 0
    per_second: float = 0.0
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    funnel: dict[Cell, Counts] = field(default_factory=dict)
    started_at: float = field(default_factory=time.monotonic)

    @property
    def sent(self) -> int:
        """Records sent by all channels."""
        return self.sent_by_channel.total()

    @property
    def total(self) -> Tallied:
        """All decisions."""
        cells = self.cells.values()
        decided = sum(cell.decided for cell in cells)
        return Tallied(self.sent, decided, sum(cell.approved for cell in cells))

    @property
    def answered(self) -> int:
        """Records that got their decision, their dead letter or count as a duplicate."""
        return self.total.decided + self.dead_letters.total() + self.duplicates

    @property
    def elapsed_seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self.started_at

    def take(self, decision: Decision, latency_ms: float | None = None) -> None:
        """Count one decision; its latency is `decided_at` less `submitted_at` unless given.

        A customer manager's tablet sends when it finds a network, minutes after the customer
        signed: its records tell how late they came, not how fast the engine is.
        """
        cell = self.cells.setdefault((str(decision.channel), str(decision.segment)), Tallied())
        cell.decided += 1
        cell.approved += decision.outcome is Outcome.APPROVE
        if decision.outcome is Outcome.REFER and decision.reasons:
            self.reasons[decision.reasons[0].code] += 1
        if decision.channel is Channel.CUSTOMER_MANAGER and latency_ms is None:
            return
        if latency_ms is None:
            latency_ms = to_ms(decision.decided_at) - to_ms(decision.submitted_at)
        self.latency.add(max(0.0, latency_ms))
