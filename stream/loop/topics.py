"""What must exist before the worker starts; Faust would otherwise invent topics of one replica."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stream.config import Settings
from stream.domain.topics import APPLICATIONS, DECISIONS, FUNNEL, OUTCOMES
from stream.edge.client_log import CLIENT_LOG
from stream.errors import BrokerError

LOOP_GROUP = "tenminute-loop"
CHANGELOG = f"{LOOP_GROUP}-progress-changelog"
ANSWER_SECONDS_MAX = 10.0


def prepare(settings: Settings) -> int:
    """Check the topics, create the changelog where it is missing, and say how many partitions."""
    admin = AdminClient(
        {"bootstrap.servers": settings.bootstrap, "log_level": 3, **settings.kafka},
        logger=CLIENT_LOG,
    )
    found = _partition_counts(admin, settings.bootstrap)
    missing = [name for name in (APPLICATIONS, DECISIONS, OUTCOMES, FUNNEL) if name not in found]
    if missing:
        raise BrokerError(f"no topic {', '.join(missing)}", fix="run: tenminute topics apply")
    partitions = found[APPLICATIONS]
    if CHANGELOG not in found:
        _create_changelog(admin, partitions, settings.replication)
        found[CHANGELOG] = partitions
    for name in (DECISIONS, OUTCOMES, CHANGELOG):
        if found[name] != partitions:
            raise BrokerError(
                f"{name} has {found[name]} partitions and {APPLICATIONS} {partitions}, so an "
                "application and its decision would meet in different workers",
                fix="give both the same number; tenminute topics diff shows what is declared",
            )
    return partitions


def _partition_counts(admin: AdminClient, bootstrap: str) -> dict[str, int]:
    try:
        topics = admin.list_topics(timeout=ANSWER_SECONDS_MAX).topics
    except KafkaException as error:
        raise BrokerError(
            f"no Kafka broker answers at {bootstrap}: {error.args[0].str()}",
            fix="start it, or set bootstrap",
        ) from error
    return {name: len(topic.partitions) for name, topic in topics.items()}


def _create_changelog(admin: AdminClient, partitions: int, replication: int) -> None:
    topic = NewTopic(CHANGELOG, partitions, replication, config={"cleanup.policy": "compact"})
    try:
        admin.create_topics([topic])[CHANGELOG].result(ANSWER_SECONDS_MAX)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise BrokerError(
                f"cannot create {CHANGELOG}: {error.args[0].str()}",
                fix="allow the worker to create it, or create it compacted",
            ) from error
