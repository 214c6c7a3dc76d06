"""The keeper: feeds the store from `whitelist.entries` and `bureau.features`.

One per host. It reads from the offsets the store itself holds, so a crash
repeats at most work that was never written. The store counts as fresh only
while the broker answers and every partition has been read to its end.
"""

from __future__ import annotations

import os
import threading
import time

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream.config import Settings
from stream.domain.bureau import BureauFeatures
from stream.domain.topics import BUREAU, WHITELIST
from stream.domain.whitelist import WhitelistEntry
from stream.edge.clients import consumer, unanswered
from stream.edge.lmdb_store import (
    TOPICS,
    Change,
    StoreWriter,
    discard_store,
)
from stream.errors import BrokerError
from stream.limits import KEEPER_BATCH_RECORDS_MAX
from stream.obs.health import HealthFile
from stream.obs.metrics import EngineMetrics

POLL_SECONDS = 0.1
FRESH_EVERY_SECONDS = 1.0
CALL_SECONDS = 5.0
"""Longest one question may wait; it is asked again, and between two a signal is obeyed."""
_FRESH_SECONDS_MAX = 2.0
"""Longest the look at all ends may take: an age that grows is no harm, a keeper that hangs is."""

_DECODERS: dict[str, msgspec.json.Decoder[WhitelistEntry] | msgspec.json.Decoder[BureauFeatures]]
_DECODERS = {
    WHITELIST: msgspec.json.Decoder(WhitelistEntry),
    BUREAU: msgspec.json.Decoder(BureauFeatures),
}


class Keeper:
    """Reads the two topics without a group and writes what they say."""

    def __init__(
        self, settings: Settings, metrics: EngineMetrics, log: structlog.typing.FilteringBoundLogger
    ) -> None:
        """Open the store at its offsets; BrokerAwayError when no broker says where they end."""
        self._settings, self._metrics, self._log = settings, metrics, log
        self._consumer: Consumer = consumer(
            settings, f"{settings.group_id}-keeper", **{"enable.partition.eof": True}
        )
        self._health = HealthFile(settings.health_dir, "keeper", os.getpid())
        self._health.say("starting", ready=False)
        try:
            self._store, self._next = self._open()
        except BrokerError:
            self._consumer.close()
            raise
        self._fresh_checked_at = 0.0
        self._caught_up = False

    def run(self, stop: threading.Event) -> None:
        """Keep the store until `stop` is set."""
        try:
            while not stop.is_set():
                self.step()
        finally:
            self._consumer.close()
            self._store.close()

    def step(self) -> None:
        """Take what is there into the store, and say how fresh it is."""
        messages = self._consumer.consume(KEEPER_BATCH_RECORDS_MAX, POLL_SECONDS)
        changes: list[Change] = []
        moved: dict[tuple[str, int], int] = {}
        for message in messages:
            self._take(message, changes, moved)
        fresh_at_ms = None if changes else self._fresh_at_ms()
        if changes or moved or fresh_at_ms is not None:
            self._write(changes, moved, fresh_at_ms)
        self._caught_up = self._caught_up or fresh_at_ms is not None
        held = sum(self._store.counts().values())
        self._health.say("running", ready=self._caught_up, detail=f"{held} records")

    def _write(
        self, changes: list[Change], moved: dict[tuple[str, int], int], fresh_at_ms: int | None
    ) -> None:
        older = self._store.apply(changes, moved, fresh_at_ms)
        self._next.update(moved)
        for topic in TOPICS:
            of_topic = [record for changed, _, record in changes if changed == topic]
            deleted = sum(record is None for record in of_topic)
            self._metrics.store_updates.labels(topic, "deleted").inc(deleted)
            self._metrics.store_updates.labels(topic, "put").inc(len(of_topic) - deleted)
        self._metrics.store_updates.labels(WHITELIST, "older").inc(older)
        if fresh_at_ms is not None:
            self._metrics.store_fresh_at.set(fresh_at_ms / 1000)
        if changes:
            self._log.info("store_batch", changes=len(changes), older=older)

    def _take(
        self, message: Message, changes: list[Change], moved: dict[tuple[str, int], int]
    ) -> None:
        error = message.error()
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if topic is None or partition is None or offset is None:
            raise BrokerError(f"keeper: {error}", fix="see the broker's log")
        place = (topic, partition)
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                if offset > self._next.get(place, 0):
                    moved[place] = max(offset, moved.get(place, 0))
                return
            if error.fatal():
                raise BrokerError(f"keeper: {error.name()}", fix="see the broker's log")
            self._log.warning("keeper_consume_failed", error=error.name())
            return
        moved[place] = offset + 1
        key, value = message.key() or b"", message.value()
        if value is None:
            if key:  # the store holds no empty key that could be taken away
                changes.append((topic, key, None))
            return
        try:
            record = _DECODERS[topic].decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            record = None
        if record is None or record.applicant_token.encode() != key:
            # What cannot be read must not leave an older offer standing: no entry refers.
            self._metrics.store_updates.labels(topic, "malformed").inc()
            self._log.warning("store_record_malformed", topic=topic, offset=offset)
            if key:
                changes.append((topic, key, None))
            return
        changes.append((topic, key, record))

    def _fresh_at_ms(self) -> int | None:
        """Now, when the broker says every partition has been read to its end; at most 1/s."""
        now = time.time()
        if now - self._fresh_checked_at < FRESH_EVERY_SECONDS:
            return None
        self._fresh_checked_at = now
        until = time.monotonic() + _FRESH_SECONDS_MAX
        try:
            for (topic, partition), position in self._next.items():
                place = TopicPartition(topic, partition)
                left = max(0.0, until - time.monotonic())
                _, end = self._consumer.get_watermark_offsets(place, timeout=left)
                if position < end:
                    return None
        except KafkaException as error:
            self._log.warning("keeper_out_of_touch", error=error.args[0].name())
            return None
        return int(now * 1000)

    def _open(self) -> tuple[StoreWriter, dict[tuple[str, int], int]]:
        """Open the store at its offsets; rebuild it when it is foreign or ahead of its topics."""
        folder = self._settings.store_dir
        cluster_id, ends = self._ends()
        store = StoreWriter(folder)
        held = store.offsets()
        foreign = store.cluster_id() not in {None, cluster_id}
        if foreign or any(held.get(place, 0) > end for place, end in ends.items()):
            self._log.warning("store_rebuilt", foreign=foreign)
            store.close()
            discard_store(folder)
            store, held = StoreWriter(folder), {}
        store.bind(cluster_id)
        position = {place: held.get(place, 0) for place in ends}
        self._consumer.assign([TopicPartition(t, p, offset) for (t, p), offset in position.items()])
        return store, position

    def _ends(self) -> tuple[str, dict[tuple[str, int], int]]:
        try:
            cluster = self._consumer.list_topics(timeout=CALL_SECONDS)
            missing = [topic for topic in TOPICS if topic not in cluster.topics]
            if missing:
                raise BrokerError(
                    f"no topic {', '.join(missing)}", fix="run: tenminute topics apply"
                )
            places = [(t, p) for t in TOPICS for p in cluster.topics[t].partitions]
            ends = {
                (t, p): self._consumer.get_watermark_offsets(
                    TopicPartition(t, p), timeout=CALL_SECONDS
                )[1]
                for t, p in places
            }
        except KafkaException as error:
            raise unanswered(self._settings, error) from None
        return str(cluster.cluster_id), ends
