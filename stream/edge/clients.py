"""How this project's Kafka clients on the money path are set up; every value has its reason."""

from __future__ import annotations

import logging
from operator import methodcaller
from typing import Any

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
)

from stream.codec.keys import PARTITIONER
from stream.config import Settings
from stream.edge.client_log import CLIENT_LOG
from stream.errors import BrokerAwayError, BrokerError
from stream.limits import CONSUMER_QUEUE_KILOBYTES, SESSION_TIMEOUT_MS, TRANSACTION_TIMEOUT_MS
from stream.ports import Identity, Record

AWAY = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError._WAIT_COORD,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
    }
)
"""What a broker that starts, stops or hands over says, if anything; not that it refuses."""

PROBE_SECONDS = 5.0
"""How long a verb waits for the first word of a broker."""


def _base(settings: Settings) -> dict[str, Any]:
    return {
        "bootstrap.servers": settings.bootstrap,
        "log_level": 3,
        # A pause of 100 ms between two transactions would be the default; see the broker's
        # CONCURRENT_TRANSACTIONS answer to back-to-back transactions.
        "retry.backoff.ms": 1,
        "retry.backoff.max.ms": 250,
        "reconnect.backoff.max.ms": 2_000,
        "allow.auto.create.topics": False,
        **settings.kafka,
    }


def producer(settings: Settings, **extra: Any) -> Producer:  # noqa: ANN401
    """Idempotent, acknowledged by all replicas, keys hashed as Java clients hash them."""
    return Producer(
        _base(settings)
        | {
            "partitioner": PARTITIONER,
            "acks": "all",
            "enable.idempotence": True,
            # With more in flight, a first request that was lost with its connection counts as
            # written as soon as the second is (librdkafka 2.16.0; seen in a chaos run).
            "max.in.flight.requests.per.connection": 1,
            "linger.ms": 1,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 500_000,
            "logger": CLIENT_LOG,
        }
        | extra
    )


def transactional_producer(
    settings: Settings,
    transactional_id: str,
    **extra: Any,  # noqa: ANN401
) -> Producer:
    """A producer whose writes appear together with the offsets they came from, or not at all."""
    return producer(
        settings,
        **{
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
            "linger.ms": 0,
            # A half-open connection must be noticed before the transaction times out.
            "socket.timeout.ms": 6_000,
            # A topic that is gone must be named before the commit gives up, or it would look like
            # an unknown outcome and be tried for ever instead of held.
            "topic.metadata.propagation.max.ms": 2_000,
            # Callbacks for what failed only: one per record would cost more than the record.
            "delivery.report.only.error": True,
        }
        | extra,
    )


def consumer(settings: Settings, group: str, **extra: Any) -> Consumer:  # noqa: ANN401
    """Reads committed records only, commits nothing by itself, never guesses an offset."""
    return Consumer(
        _base(settings)
        | {
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            # A half-open connection is noticed as soon as a missing heartbeat would be.
            "socket.timeout.ms": SESSION_TIMEOUT_MS,
            "fetch.wait.max.ms": 100,
            # After a full local queue librdkafka would sleep a second before it fetches again.
            "fetch.queue.backoff.ms": 10,
            # What is fetched ahead stays within this, however large the backlog.
            "queued.max.messages.kbytes": CONSUMER_QUEUE_KILOBYTES,
            "queued.min.messages": 10_000,
            "logger": CLIENT_LOG,
        }
        | extra
    )


def identity_of(client: Consumer) -> Identity | None:
    """The member that a client is, to commit under; None when the group has let it go.

    A commit without a member is checked against nobody: it must not be made.
    """
    member = client.memberid()
    return Identity(member, client.consumer_group_metadata()) if member else None


def unanswered(settings: Settings, error: KafkaException) -> BrokerError:
    """What to raise for a question that got no answer: BrokerAwayError where asking again helps."""
    code = error.args[0]
    kind = BrokerAwayError if code.code() in AWAY else BrokerError
    return kind(
        f"no answer from {settings.bootstrap}: {code.name()}",
        fix="check that the broker runs, `bootstrap` names it and it lets this user in",
    )


_headers = methodcaller("headers")
"""Called so and not as a method: at a name it cannot decode the client sets an error and returns
a list with holes all the same. After a plain method call a warmed-up interpreter does not look for
the error, and the holes end the process."""


def headers_of(message: Message) -> list[tuple[str, str | bytes | None]]:
    """The headers of a message; none when a name is not UTF-8, which the client cannot return.

    To be asked once of a message: of a second call the client does not report the error again.
    """
    try:
        headers = _headers(message) or []
    except (SystemError, UnicodeDecodeError):  # the first is how the client reports the second
        return []
    return list(headers.items() if isinstance(headers, dict) else headers)


def record_of(message: Message) -> Record:
    """The record of a message that carries no error."""
    kind, timestamp_ms = message.timestamp()
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise AssertionError("a consumed message has a place")
    return Record(
        topic,
        partition,
        offset,
        message.key(),
        message.value(),
        headers_of(message),
        -1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
    )


def require_topic(bootstrap: str, topic: str, **extra: str) -> None:
    """BrokerError within seconds when no broker answers or the topic is not there.

    A client by itself retries for ever and fills the terminal; a verb asks this first.
    """
    quiet = logging.getLogger("stream.kafka.probe")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    client = Producer({"bootstrap.servers": bootstrap, **extra}, logger=quiet)
    try:
        found = client.list_topics(timeout=PROBE_SECONDS).topics
    except KafkaException as error:
        raise BrokerError(
            f"no Kafka broker answers at {bootstrap}: {error.args[0].name()}",
            fix="start it, or give --bootstrap; tenminute doctor looks closer",
        ) from None
    if topic not in found:
        raise BrokerError(f"no topic {topic} at {bootstrap}", fix="run: tenminute topics apply")
