"""One engine worker: the transactional loop around the pipeline.

1 poll a batch; 2 snapshot the group identity with it; 3 begin; 4 run the
pipeline; 5 produce decisions, audit records and dead letters; 6 send the
offsets with the identity of step 2; 7 commit; 8 apply to the ledger and count.

A failure or time-out anywhere in 3 to 7 leaves the outcome unknown. Then the
producer is dropped, a new one with the same transactional id fences it, the
ledgers are rebuilt from what did commit, and reading goes on at the committed
offsets. No decision is ever produced outside a transaction.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable

import structlog
from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from stream.config import Settings
from stream.domain.ledger import Draft, Ledger
from stream.domain.topics import APPLICATIONS
from stream.edge.clients import consumer, headers_of, transactional_producer
from stream.edge.lmdb_store import StoreReader
from stream.edge.restore import committed_offsets, restore_ledgers
from stream.errors import BrokerError
from stream.limits import POLL_TIMEOUT_MS, TRANSACTION_STEP_SECONDS
from stream.obs.health import HealthFile
from stream.obs.metrics import EngineMetrics
from stream.obs.observe import Stopwatch, count_batch
from stream.pipeline import Batch, Pipeline
from stream.ports import Record


class IdentityLostError(Exception):
    """The group has let this worker go between poll and commit."""


class Worker:
    """Decides the partitions it is assigned until told to stop."""

    def __init__(
        self,
        settings: Settings,
        index: int,
        pipeline: Pipeline,
        store: StoreReader,
        metrics: EngineMetrics,
        log: structlog.typing.FilteringBoundLogger,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._settings, self._pipeline, self._store = settings, pipeline, store
        self._metrics, self._log, self._now_ms = metrics, log, now_ms
        self._id = f"{settings.group_id}-{settings.instance}-{index}"
        self._health = HealthFile(settings.health_dir, f"worker-{index}", os.getpid())
        self._ledgers: dict[int, Ledger] = {}
        self._next: dict[int, int] = {}
        self._producer = self._new_producer()
        self._consumer: Consumer = consumer(
            settings, settings.group_id, **{"client.id": self._id, "group.instance.id": self._id}
        )
        self._consumer.subscribe(
            [APPLICATIONS],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
        )
        self._assigned_once = False

    def run(self, stop: threading.Event) -> None:
        """Go round until `stop` is set, then leave the group."""
        try:
            while not stop.is_set():
                self.step()
            self._health.say("draining", ready=False)
        finally:
            self._consumer.close()

    def step(self) -> None:
        """Once through the eight steps; nothing there to read is fine."""
        limit = self._settings.batch_records
        messages = self._consumer.consume(limit, POLL_TIMEOUT_MS / 1000)  # 1
        records = [record for message in messages if (record := self._record(message))]
        if records:
            self._decide(records)
            gc.collect(1)
        self._metrics.progress_at.set(time.time())
        self._health.say(
            "running", ready=self._assigned_once, detail=f"{len(self._ledgers)} partitions"
        )

    def _decide(self, records: list[Record]) -> None:
        watch = Stopwatch(self._metrics)
        ends = {record.partition: record.offset + 1 for record in records}
        drafts = {partition: Draft(self._ledgers[partition]) for partition in ends}
        try:
            identity = self._consumer.consumer_group_metadata()  # 2
            if not self._consumer.memberid():
                raise IdentityLostError
            self._producer.begin_transaction()  # 3
            with self._store.reading() as views:
                batch = self._pipeline.run(records, views, drafts, self._now_ms(), watch.mark)  # 4
            self._produce(batch)  # 5
            offsets = [TopicPartition(APPLICATIONS, p, offset) for p, offset in ends.items()]
            self._producer.send_offsets_to_transaction(
                offsets, identity, TRANSACTION_STEP_SECONDS
            )  # 6
            self._producer.commit_transaction(TRANSACTION_STEP_SECONDS)  # 7
        except (KafkaException, BufferError, IdentityLostError) as error:
            self._recover(error)
            return
        watch.mark("commit")
        for draft in drafts.values():  # 8
            draft.apply()
        self._next.update(ends)
        count_batch(self._metrics, batch, self._now_ms())
        self._metrics.ledger_ids.set(sum(map(len, self._ledgers.values())))
        self._log.info(
            "batch",
            received=batch.received,
            decided=len(batch.decisions),
            dead_letters=len(batch.dead_letters),
            duplicates=batch.duplicates,
            ms=watch.total_ms(),
        )

    def _produce(self, batch: Batch) -> None:
        for output in batch.outputs:
            self._producer.produce(
                output.topic,
                value=output.value,
                key=output.key,
                partition=output.partition,
                headers=[*output.headers],
            )

    def _record(self, message: Message) -> Record | None:
        """The record of a message, unless it is of a partition or a reading already given up."""
        error = message.error()
        partition, offset = message.partition(), message.offset()
        if error is not None:
            if error.fatal() or partition in self._ledgers:
                raise BrokerError(f"reading {APPLICATIONS}: {error.name()}", fix="tenminute doctor")
            self._log.warning("consume_failed", error=error.name())
            return None
        if partition is None or offset is None or offset < self._next.get(partition, 1 << 62):
            return None
        kind, timestamp_ms = message.timestamp()
        stamped = -1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms
        headers = headers_of(message)
        return Record(
            APPLICATIONS, partition, offset, message.key(), message.value(), headers, stamped
        )

    def _on_assign(self, group: Consumer, places: list[TopicPartition]) -> None:
        """Restore before reading: offsets, then ledgers, then the first record."""
        partitions = [place.partition for place in places]
        self._take_over(group, partitions)
        self._assigned_once = True
        self._metrics.partitions.set(len(partitions))
        self._log.info("assigned", partitions=partitions, ledger_ids=self._held())

    def _on_revoke(self, group: Consumer, places: list[TopicPartition]) -> None:
        """Between batches no transaction is open, so letting go is only forgetting."""
        del group
        for place in places:
            self._ledgers.pop(place.partition, None)
            self._next.pop(place.partition, None)
        self._metrics.partitions.set(len(self._ledgers))
        self._log.info("revoked", partitions=[place.partition for place in places])

    def _take_over(self, group: Consumer, partitions: list[int]) -> None:
        offsets = committed_offsets(group, partitions)
        self._ledgers = restore_ledgers(self._settings, partitions)
        self._next = dict(offsets)
        group.assign([TopicPartition(APPLICATIONS, p, offset) for p, offset in offsets.items()])

    def _recover(self, error: Exception) -> None:
        """Unknown outcome: fence what is open, rebuild from what committed, read it again."""
        name = error.args[0].name() if isinstance(error, KafkaException) else type(error).__name__
        self._metrics.commits.labels("unknown").inc()
        self._log.warning("transaction_outcome_unknown", error=name)
        self._producer = self._new_producer()
        self._take_over(self._consumer, list(self._ledgers))

    def _new_producer(self) -> Producer:
        """A producer whose transactional id has fenced every earlier holder."""
        producer = transactional_producer(self._settings, self._id)
        try:
            producer.init_transactions(TRANSACTION_STEP_SECONDS * 3)
        except KafkaException as error:
            raise BrokerError(
                f"no transactions from {self._settings.bootstrap}: {error.args[0].name()}",
                fix="check that the broker runs; tenminute doctor",
            ) from None
        return producer

    def _held(self) -> int:
        return sum(map(len, self._ledgers.values()))
