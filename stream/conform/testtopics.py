"""Topics of a test's own: created when they are not there, and never the real ones."""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stream.config import Settings
from stream.domain import topics as names
from stream.edge.clients import consumer
from stream.errors import BrokerError, ConfigError

ANSWER_SECONDS_MAX = 15.0
REAL = frozenset(
    value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)
)


def refuse_real(topic: str) -> None:
    """ConfigError for a topic of the engine: a made-up decision on it would be paid."""
    if topic in REAL:
        raise ConfigError(
            f"{topic} is a topic of the engine", fix="give a topic that only the test uses"
        )


def prepare(settings: Settings, topic: str) -> int:
    """Create the topic with the engine's partition count if it is absent; how many it has."""
    admin = AdminClient({**settings.kafka, "bootstrap.servers": settings.bootstrap, "log_level": 0})
    new = NewTopic(topic, settings.partitions, settings.replication)
    try:
        if not partitions_of(admin, topic):
            admin.create_topics([new])[topic].result(ANSWER_SECONDS_MAX)
        return _led(settings, admin, topic)
    except KafkaException as error:
        fault: KafkaError = error.args[0]
        raise BrokerError(
            f"{settings.bootstrap}: {fault.name()}",
            fix="check that the broker runs, --bootstrap names it and topics may be created",
        ) from None


def _led(settings: Settings, admin: AdminClient, topic: str) -> int:
    """Wait until the leader of every partition answers; metadata names it a moment before."""
    asker = consumer(settings, "tenminute-conform")
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    try:
        while True:
            count = partitions_of(admin, topic)
            try:
                for number in range(count):
                    asker.get_watermark_offsets(TopicPartition(topic, number), ANSWER_SECONDS_MAX)
            except KafkaException:
                count = 0
            if count:
                return count
            if time.monotonic() > deadline:
                raise BrokerError(f"{topic} is not served", fix="create it by hand, then try again")
            time.sleep(0.05)
    finally:
        asker.close()


def partitions_of(admin: AdminClient, topic: str) -> int:
    """How many partitions the topic has; 0 when it is not there."""
    found = admin.list_topics(timeout=ANSWER_SECONDS_MAX).topics.get(topic)
    return len(found.partitions) if found is not None and found.error is None else 0
