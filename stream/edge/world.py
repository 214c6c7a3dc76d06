"""The ports of a worker, each on its real counterpart."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import structlog
from confluent_kafka import KafkaException

from stream.config import Settings
from stream.domain.application import Segment
from stream.domain.control import Switches
from stream.domain.topics import APPLICATIONS, AUDIT, DEAD_LETTERS, DECISIONS, EVENTS, REVIEWS
from stream.edge.clients import consumer, unanswered
from stream.edge.controls import Controls
from stream.edge.inbox import CALL_SECONDS, KafkaInbox
from stream.edge.lane import ThreadLane
from stream.edge.lmdb_store import StoreReader
from stream.edge.outlet import KafkaOutlets
from stream.edge.patience import Patience
from stream.edge.reading import Reading, is_readable, kind_of
from stream.edge.restore import KafkaLedgers
from stream.edge.settled import ask_settled
from stream.edge.shelf import ModelShelf
from stream.edge.signals import Stop
from stream.edge.snapshots import Snapshots
from stream.edge.watch import EngineWatcher, Ties
from stream.errors import BrokerError
from stream.limits import LEAVE_SECONDS_MAX
from stream.obs.health import HealthFile
from stream.obs.metrics import EngineMetrics
from stream.world import World

COPARTITIONED = (APPLICATIONS, EVENTS, REVIEWS, DECISIONS, AUDIT, DEAD_LETTERS)


class Local(NamedTuple):
    """What a worker has of its own host."""

    store: StoreReader
    metrics: EngineMetrics
    log: structlog.typing.FilteringBoundLogger
    stop: Stop
    patience: Patience
    shelf: ModelShelf | None = None


class SystemClock:
    """The host's clocks; sleeping ends when the worker is told to stop."""

    def __init__(self, stop: Stop) -> None:
        self._stop, self._gone_by = stop, math.inf

    def now_ms(self) -> int:
        """Wall clock, epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def seconds(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, or until told to stop."""
        self._stop.wait(seconds)

    def left(self) -> float:
        """What the signal leaves, or the group, whichever is less."""
        return min(self._stop.left(), self._gone_by - time.monotonic())

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """The group takes partitions away and waits."""
        self._gone_by = time.monotonic() + LEAVE_SECONDS_MAX
        try:
            yield
        finally:
            self._gone_by = math.inf


@contextmanager
def open_world(
    settings: Settings, index: int, local: Local, models: Mapping[Segment, str]
) -> Iterator[World]:
    """Everything worker `index` of this host touches; closed again behind it."""
    worker_id = f"{settings.group_id}-{settings.instance}-{index}"
    reading = Reading(local.metrics.loop, local.log, partial(is_readable, settings))
    clock, inbox = SystemClock(local.stop), KafkaInbox(settings, worker_id, reading)
    snapshots = Snapshots(
        settings.state_dir / "ledgers",
        local.store.cluster_id() or "",
        settings.group_id,
        settings.partitions,
        local.log,
    )
    controls = Controls(settings, worker_id, models, local.metrics.control, local.log, local.shelf)
    local.patience.ask(controls.catch_up)
    watcher = EngineWatcher(
        local.metrics,
        HealthFile(settings.health_dir, f"worker-{index}", os.getpid()),
        local.log,
        snapshots,
        controls,
        Ties(
            lambda partitions: ask_settled(settings, partitions, clock.left),
            inbox.backlog,
            reading.reason,
            clock.left,
        ),
    )

    def switches() -> Switches:
        controls.poll()
        return controls.switches

    try:
        yield World(
            inbox=inbox,
            outlets=KafkaOutlets(settings, worker_id, clock.left),
            ledgers=KafkaLedgers(settings, snapshots, clock),
            lane=ThreadLane(left=clock.left),
            store=local.store,
            clock=clock,
            watcher=watcher,
            switches=switches,
        )
    finally:
        controls.close(local.stop.left())


def check_copartitioned(settings: Settings) -> None:
    """BrokerError unless every topic of the money path has the declared partition count.

    BrokerAwayError where no broker says.
    """
    looker = consumer(settings, f"{settings.group_id}-look")
    try:
        found = looker.list_topics(timeout=CALL_SECONDS).topics
    except KafkaException as error:
        raise unanswered(settings, error) from None
    finally:
        looker.close()
    for topic in COPARTITIONED:
        fault = found[topic].error if topic in found else None
        if fault is not None and kind_of(fault) == "unauthorized":
            raise BrokerError(f"{topic}: {fault.name()}", fix="let this user read and write it")
        if topic not in found or fault is not None:
            raise BrokerError(f"no topic {topic}", fix="run: tenminute topics apply")
        count = len(found[topic].partitions)
        if count != settings.partitions:
            raise BrokerError(
                f"{topic} has {count} partitions, declared are {settings.partitions}",
                fix="partition counts are fixed for life: set `partitions` to what the ledgers "
                "were written with; see the runbook, 'partitions'",
            )
