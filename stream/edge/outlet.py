"""Transactional producers on Kafka, and what each way of failing asks for.

No Python client bumps the producer's epoch with every transaction (KIP-890), so
an answer that never came says nothing: the commit may be done, or may still be
on its way and hit the next transaction. Only a new producer under the same id,
whose start fences the old one, makes it safe to go on.

The client hides the most dangerous case: when a connection breaks while the end
of a transaction is on its way, it sends that end again by itself and reports
success. A late first copy would then end the producer's next transaction. So a
producer that has lost a connection never begins again; the client's log is the
only place where it says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from stream.config import Settings
from stream.edge.client_log import CLIENT_LOG
from stream.edge.clients import transactional_producer
from stream.edge.signals import no_hurry
from stream.errors import Remedy, TransactionError
from stream.limits import COMMIT_SECONDS_MAX, OPEN_SECONDS_MAX, STUCK_SECONDS
from stream.ports import Identity, Output, Positions

_LEAST_SECONDS = 0.1
_OF_THE_GROUP = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
    }
)
"""The group refused the offsets before anything ended: an abort is enough. After any other
abortable error the client's abort may itself fail, or leave a gap in the sequence numbers."""

REFUSALS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_EXCEPTION,
    }
)
"""Answers of a topic that no repeating mends: stand still, alert, let a person look."""


def remedy_of(error: KafkaError, *, ending: bool) -> Remedy:
    """What to do about an error the client could not mend; `ending` once the commit was asked for.

    A fenced producer is made anew as well: a worker thawed after its transaction
    timed out is fenced, and goes on. Where another process has this worker's
    place in the group, the group says so (FENCED_INSTANCE_ID).
    """
    if error.code() == KafkaError.FENCED_INSTANCE_ID:
        return Remedy.LEAVE
    if ending or not error.txn_requires_abort() or error.code() not in _OF_THE_GROUP:
        return Remedy.RECREATE
    return Remedy.ABORT


class _Connections:
    """Remembers that a connection broke, from the client's own log, and passes errors on."""

    def __init__(self) -> None:
        self.lost = False

    def log(self, level: int, form: str, kind: str, client: str, text: str) -> None:
        """One line of the client; an idle connection that is closed is told at a lower level."""
        self.lost = self.lost or kind == "FAIL"
        if level >= logging.ERROR:
            CLIENT_LOG.log(level, form, kind, client, text)


class KafkaOutlet:
    """One transactional producer; its id is fenced against every earlier holder."""

    def __init__(
        self,
        settings: Settings,
        transactional_id: str,
        commit_seconds: float = COMMIT_SECONDS_MAX,
        left: Callable[[], float] = no_hurry,
    ) -> None:
        """Start it; TransactionError when no broker lets it within `OPEN_SECONDS_MAX`.

        Nothing here waits longer than is `left` to let go of everything.
        """
        self._commit_seconds, self._left = commit_seconds, left
        self._refused: tuple[str, KafkaError] | None = None
        self._open = False
        self._connections = _Connections()
        self._client: Producer = transactional_producer(
            settings,
            transactional_id,
            on_delivery=self._failed,
            logger=self._connections,
            log_level=6,
        )
        self._call(self._client.init_transactions, self._within(OPEN_SECONDS_MAX))
        self._connections.lost = False

    def begin(self) -> None:
        """Open a transaction; not after a lost connection, whose late requests could end it."""
        self._refused = None
        self._call(self._client.poll, 0)
        if self._connections.lost:
            raise TransactionError(Remedy.RECREATE, "connection_lost")
        self._call(self._client.begin_transaction)
        self._open = True

    def send(self, outputs: Sequence[Output]) -> None:
        """Queue the records; a full queue aborts, for a batch is far smaller than it."""
        produce = self._client.produce
        try:
            for topic, partition, key, value, headers, at_ms in outputs:
                produce(
                    topic,
                    value=value,
                    key=key,
                    partition=partition,
                    timestamp=at_ms,
                    headers=[*headers],
                )
        except BufferError:
            raise TransactionError(Remedy.RECREATE, "queue_full") from None
        except KafkaException as error:
            raise self._translated(error, ending=False) from None

    def commit(self, positions: Positions, identity: Identity) -> None:
        """Offsets under the identity, then the commit, both within one span."""
        deadline = time.monotonic() + min(self._commit_seconds, self._left())
        offsets = [TopicPartition(topic, p, offset) for (topic, p), offset in positions.items()]
        send_offsets = self._client.send_offsets_to_transaction
        seconds = self._within(self._commit_seconds)
        self._call(send_offsets, offsets, identity.token, seconds)
        left = deadline - time.monotonic()
        if left < -STUCK_SECONDS:  # nobody waits any more
            raise TransactionError(Remedy.RECREATE, "commit_stuck")
        self._call(self._client.commit_transaction, max(_LEAST_SECONDS, left), ending=True)
        self._open = False

    def abort(self) -> None:
        """Give the open transaction up, if there is one."""
        if self._open:
            seconds = self._within(self._commit_seconds)
            self._call(self._client.abort_transaction, seconds, ending=True)
            self._open = False

    def _within(self, seconds: float) -> float:
        """So many, or what is left; the client takes 0 for no bound in some of its calls."""
        return max(_LEAST_SECONDS, min(seconds, self._left()))

    def _call(self, method: Callable[..., Any], *arguments: object, ending: bool = False) -> None:
        try:
            method(*arguments)
        except KafkaException as error:
            raise self._translated(error, ending=ending) from None

    def _translated(self, error: KafkaException, *, ending: bool) -> TransactionError:
        """The remedy; a topic that refused records outranks what the commit made of it."""
        with suppress(KafkaException):  # a dead producer raises here what is already in hand
            self._client.poll(0)
        fault: KafkaError = error.args[0]
        if self._refused is not None:
            topic, refusal = self._refused
            return TransactionError(Remedy.HOLD, refusal.name().lower(), topic)
        return TransactionError(remedy_of(fault, ending=ending), fault.name().lower())

    def _failed(self, error: KafkaError | None, message: Message) -> None:
        """Called for records that were not delivered only."""
        topic = message.topic()
        if error is not None and topic is not None and error.code() in REFUSALS:
            self._refused = (topic, error)


class KafkaOutlets:
    """Producers by slot; the transactional id is the worker's name and the slot."""

    def __init__(
        self, settings: Settings, worker_id: str, left: Callable[[], float] = no_hurry
    ) -> None:
        self._settings, self._worker_id, self._left = settings, worker_id, left

    def open(self, slot: int) -> KafkaOutlet:
        """A new producer under the slot's id."""
        return KafkaOutlet(self._settings, f"{self._worker_id}-{slot}", left=self._left)
