"""What a worker's loop tells the world: metrics, log, health file, ledger snapshots."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import structlog

from stream.batch import Batch
from stream.domain.ledger import Ledger
from stream.domain.topics import DECISIONS, EVENTS
from stream.edge.controls import Controls
from stream.edge.settled import Settled
from stream.edge.signals import no_hurry
from stream.edge.snapshots import Snapshots
from stream.errors import BrokerError, Remedy, TenMinuteError, TransactionError
from stream.limits import SNAPSHOT_SECONDS
from stream.obs.health import HealthFile
from stream.obs.metrics import EngineMetrics
from stream.obs.observe import Stopwatch, count_batch
from stream.ports import Place, Positions

_RESULTS = {
    Remedy.ABORT: "aborted",
    Remedy.RECREATE: "unknown",
    Remedy.LEAVE: "fenced",
    Remedy.HOLD: "refused",
}
_FENCED = ("fenced", "invalid_producer_epoch", "producer_fenced", "illegal_generation")
_BACKLOG_SECONDS = 2.0


class Ties(NamedTuple):
    """What a watcher asks of others."""

    settled: Callable[[Sequence[int]], Settled]
    """What is settled of these partitions; BrokerError when unknown."""
    backlog: Callable[[], int]
    """Records of the inputs not yet read."""
    unreadable: Callable[[], str] = str
    """Which inputs cannot be read, and why; empty when all can."""
    left: Callable[[], float] = no_hurry
    """Seconds until the partitions must have been given up."""


class EngineWatcher:
    """The watcher of one worker process."""

    def __init__(
        self,
        metrics: EngineMetrics,
        health: HealthFile,
        log: structlog.typing.FilteringBoundLogger,
        snapshots: Snapshots,
        controls: Controls,
        ties: Ties,
    ) -> None:
        self._metrics, self._health, self._log = metrics, health, log
        self._snapshots, self._controls, self._ties = snapshots, controls, ties
        self._stopwatch = Stopwatch(metrics)
        self._assigned_once = False
        self._backlog_at = 0.0
        self._held: set[int] = set()
        self.mark = self._stopwatch.mark

    def decided(self, batch: Batch, now_ms: int) -> None:
        """Remember when each kind was last decided, for the acknowledgement of a command."""
        self._controls.saw(batch.decisions, now_ms)

    def committed(self, batch: Batch) -> None:
        """Count the batch, once it counts."""
        now_ms = time.time_ns() // 1_000_000
        count_batch(self._metrics, batch, now_ms)
        if batch.oldest_submitted_ms is not None:
            age_ms = max(0, now_ms - batch.oldest_submitted_ms)
            self._metrics.loop.undecided_age.set(age_ms / 1000)
        if batch.least_left_ms is not None:
            self._metrics.loop.deadline_left.set(batch.least_left_ms / 1000)
        self._log.info(
            "batch",
            received=batch.received,
            decided=len(batch.decisions),
            dead_letters=len(batch.buried),
            duplicates=batch.duplicates,
            strays=len(batch.strays),
            events=batch.events,
        )

    def failed(self, error: TransactionError) -> None:
        """Count and name what did not commit."""
        fenced = any(word in error.cause for word in _FENCED)
        result = "fenced" if fenced else _RESULTS[error.remedy]
        self._metrics.loop.commits.labels(result).inc()
        self._log.warning("transaction_failed", cause=error.cause, remedy=error.remedy.value)

    def still_failing(self, error: TenMinuteError) -> None:
        """Alive, not ready, and trying."""
        self._health.say("recovering", ready=False, detail=type(error).__name__)
        self._log.warning("recovery_failed", problem=str(error))

    def restoring(self, *, moved: bool) -> None:
        """Alive and not ready; progress only while something is read."""
        self._health.say("recovering", ready=False, detail="restoring ledgers")
        if moved:
            self._metrics.loop.progress_at.set(time.time())

    def held(self, partitions: Sequence[int], error: TransactionError) -> None:
        """An alert's business: these stand still until the topic takes their records."""
        self._held = set(partitions)
        self._log.error(
            "partitions_held", partitions=list(partitions), topic=error.topic, cause=error.cause
        )

    def assigned(self, ledgers: Mapping[int, Ledger]) -> None:
        """Restored and reading."""
        self._assigned_once = True
        self._count(ledgers)
        self._log.info("assigned", partitions=sorted(ledgers), ledger_ids=_ids(ledgers))

    def quiet(self, ledgers: Mapping[int, Ledger], positions: Positions) -> None:
        """Keep a snapshot of each whose offsets are still ours; the rest lies behind its end."""
        if not ledgers:
            return
        try:
            settled = self._ties.settled(list(ledgers))
        except BrokerError as error:
            self._log.warning("snapshots_not_kept", problem=str(error))
            return
        for partition, ledger in ledgers.items():
            if self._ties.left() < SNAPSHOT_SECONDS:
                self._log.warning("snapshot_not_kept", partition=partition, problem="no time left")
                continue
            if not settled.is_ours(partition, positions):
                self._log.warning("snapshot_not_kept", partition=partition, problem="not ours")
                continue
            decisions, events = Place(DECISIONS, partition), Place(EVENTS, partition)
            covered = {decisions: settled.ends[decisions], events: positions[events]}
            self._snapshots.keep(partition, ledger, covered)

    def dropped(self, left: Mapping[int, Ledger]) -> None:
        """Partitions are another's now, or read again from what did commit."""
        self._held &= left.keys()
        self._count(left)
        self._log.info("released", left=sorted(left))

    def went_round(
        self, ledgers: Mapping[int, Ledger], *, idle: bool, holding: bool, member: bool
    ) -> None:
        """Progress, and what is due from time to time."""
        now = time.time()
        self._metrics.loop.progress_at.set(now)
        if idle:  # with a batch, the switches were asked for just before it was decided
            self._controls.poll()
            self._metrics.loop.undecided_age.set(0)
        self._controls.acknowledge()
        if now - self._backlog_at >= _BACKLOG_SECONDS:
            self._backlog_at = now
            self._metrics.loop.backlog.set(self._ties.backlog())
            self._count(ledgers)
        unreadable = self._ties.unreadable()
        state = "holding" if holding else "running"
        detail = unreadable or f"{len(ledgers)} partitions"
        if not (self._assigned_once and member):
            detail = unreadable or "waiting for a place in the group"
        # Without any partition it is ready: there are more workers than partitions.
        ready = self._assigned_once and member and not holding and not unreadable
        self._health.say(state, ready=ready, detail=detail)
        if not holding:
            self._held = set()
        self._metrics.loop.held.set(len(self._held))

    def draining(self) -> None:
        """Told to stop."""
        self._health.say("draining", ready=False)

    def _count(self, ledgers: Mapping[int, Ledger]) -> None:
        self._metrics.loop.partitions.set(len(ledgers))
        self._metrics.loop.ledger_ids.set(_ids(ledgers))


def _ids(ledgers: Mapping[int, Ledger]) -> int:
    return sum(map(len, ledgers.values()))
