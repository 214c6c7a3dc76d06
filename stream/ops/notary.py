"""`tenminute audit notary`: follow the audit as it grows, check every link, sign where it stands.

A process, a principal and a key of its own: whoever can write the audit cannot
sign for it. It keeps no state but its checkpoints, and reads on from the last.
"""

from __future__ import annotations

import time
from threading import Event
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.typing import FilteringBoundLogger

from stream.audit.checkpoint import (
    Checkpoint,
    CheckpointRefusedError,
    decode_checkpoint,
    encode_checkpoint,
    named_key,
)
from stream.audit.notary import ChainBrokenError, Watched
from stream.codec.signatures import Trusted
from stream.config import Settings
from stream.domain.instant import from_ms
from stream.domain.topics import AUDIT, CHECKPOINTS
from stream.edge.clients import consumer, producer
from stream.errors import BrokerError
from stream.obs.notary_metrics import NotaryMetrics
from stream.ops.audit_read import ANSWER_SECONDS_MAX, Source, kept

_POLL_SECONDS, _BATCH = 0.2, 1_000


class Pace(NamedTuple):
    """How often a checkpoint is signed, per partition."""

    every_records: int
    every_seconds: float


class Notary:
    """Watches all partitions of the audit with one key."""

    def __init__(
        self,
        settings: Settings,
        private: Ed25519PrivateKey,
        pace: Pace,
        earlier: Trusted,
        log: FilteringBoundLogger,
    ) -> None:
        """`earlier` keys may have signed the checkpoints it goes on from."""
        self._settings, self._private, self._pace, self._log = settings, private, pace, log
        self._key_id = named_key(private)
        self.metrics = NotaryMetrics()
        self._trusted = {**earlier, self._key_id: private.public_key()}
        self._producer = producer(
            settings, **{"message.timeout.ms": int(ANSWER_SECONDS_MAX * 1000)}
        )

    def run(self, stop: Event) -> None:
        """Watch until told to stop; ChainBrokenError, after a log line, when a chain is broken."""
        reader = consumer(self._settings, f"{self._settings.group_id}-notary")
        try:
            watched = self._resume()
            places = [TopicPartition(AUDIT, each.partition, each.start) for each in watched]
            reader.assign(places)
            self._log.info("watching", partitions=len(watched), key_id=self._key_id)
            by_partition = {each.partition: each for each in watched}
            while not stop.is_set():
                self._read(reader, by_partition)
                self._sign([each for each in watched if self._is_due(each)])
                self.metrics.unsigned.set(sum(each.unsigned for each in watched))
                self.metrics.progress_at.set(time.time())
            self._sign([each for each in watched if each.unsigned])
        except ChainBrokenError as error:
            self._log.error(
                "audit_chain_broken",
                partition=error.partition,
                offset=error.offset,
                sequence=error.sequence,
            )
            raise
        except KafkaException as error:
            raise BrokerError(
                f"notary: {error.args[0].name()}", fix="run: tenminute doctor"
            ) from None
        finally:
            reader.close()

    def _resume(self) -> list[Watched]:
        """Every partition from its last checkpoint, whose record must still be there."""
        source = Source(self._settings)
        try:
            found = []
            for partition in source.partitions():
                watched = Watched(partition, self._last(source, partition), time.monotonic())
                watched.bounds(*source.bounds(AUDIT, partition))
                found.append(watched)
            return found
        finally:
            source.close()

    def _last(self, source: Source, partition: int) -> Checkpoint | None:
        low, high = source.bounds(CHECKPOINTS, partition)
        if low == high:
            return None
        record = next(source.records(CHECKPOINTS, partition, high - 1), None)
        if record is None:
            return None
        try:
            return decode_checkpoint((record.key, record.value), record.headers, self._trusted)
        except CheckpointRefusedError as error:
            raise BrokerError(
                f"{CHECKPOINTS}/{partition}/{record.offset}: {error}",
                fix="after a change of keys, give the earlier public key with --public-key",
            ) from None

    def _read(self, reader: Consumer, watched: dict[int, Watched]) -> None:
        for message in reader.consume(_BATCH, _POLL_SECONDS):
            self._refuse_errors(message, watched)
            record = kept(message)
            each = watched[record.partition]
            each.take(record.entry)
            if each.unsigned >= self._pace.every_records:
                self._sign([each])

    def _refuse_errors(self, message: Message, watched: dict[int, Watched]) -> None:
        error = message.error()
        if error is None:
            return
        number = message.partition()
        each = watched.get(number) if number is not None else None
        if error.code() == KafkaError._AUTO_OFFSET_RESET and each is not None:
            words = "what was to be read next is gone"
            raise ChainBrokenError(each.partition, each.offset, each.head.sequence + 1, words)
        raise BrokerError(f"reading {AUDIT}: {error.name()}", fix="run: tenminute doctor")

    def _is_due(self, each: Watched) -> bool:
        return each.due(time.monotonic(), *self._pace)

    def _sign(self, due: list[Watched]) -> None:
        """Publish a checkpoint of each, and count it only once all replicas have it."""
        if not due:
            return
        failed: list[str] = []

        def reported(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failed.append(error.name())

        signed = []
        for each in due:
            checkpoint = each.checkpoint(from_ms(int(time.time() * 1000)), self._key_id)
            key, value, headers = encode_checkpoint(checkpoint, self._private)
            self._producer.produce(
                CHECKPOINTS, value, key, each.partition, headers=[*headers], on_delivery=reported
            )
            signed.append((each, checkpoint))
        left = self._producer.flush(ANSWER_SECONDS_MAX)
        if left or failed:
            cause = failed[0] if failed else "no answer"
            raise BrokerError(f"{CHECKPOINTS}: {cause}", fix="run: tenminute doctor")
        for each, checkpoint in signed:
            each.signed(checkpoint, time.monotonic())
            self.metrics.checkpoints.inc()
            self._log.info(
                "signed", partition=checkpoint.partition, sequence=checkpoint.sequence,
                offset=checkpoint.offset,
            )  # fmt: skip
