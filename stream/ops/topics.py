"""The topics of the engine by declaration: applied, compared, never guessed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic, OffsetSpec
from kafka.errors import KafkaError

from stream.domain import topics as names
from stream.errors import BrokerError, ConfigError

_DAY_MS = 86_400_000
ANSWER_MS_MAX = 15_000
"""How long the broker may take to answer one administrative request."""
LEADERS_SECONDS_MAX = 60.0
"""How long a busy broker may take to lead every partition of a first `apply`: about eighty."""


class Topic(NamedTuple):
    """One declared topic; `copartitioned` ones share their partition count."""

    name: str
    copartitioned: bool
    configs: dict[str, str]


def _kept(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * _DAY_MS)}


_COMPACTED = {"cleanup.policy": "compact", "delete.retention.ms": str(7 * _DAY_MS)}
_FOREVER = {"cleanup.policy": "delete", "retention.ms": "-1"}
# The broker's clock dates commands, so that none outranks later ones by its own word. All are
# kept: compaction would let a refused or forged record take the place of the command in force.
_COMMANDS = {**_FOREVER, "message.timestamp.type": "LogAppendTime"}
# So too what channels and reviewers send. Their own stamp would move the bound on "in the future",
# say whether an event was in time, and let retention take an undecided record with an old one.
_ARRIVED = {"message.timestamp.type": "LogAppendTime"}

TOPICS: tuple[Topic, ...] = (
    Topic(names.APPLICATIONS, True, {**_kept(30), **_ARRIVED}),
    Topic(names.EVENTS, True, {**_FOREVER, **_ARRIVED}),
    Topic(names.WHITELIST, True, _COMPACTED),
    Topic(names.BUREAU, True, _COMPACTED),
    # Decisions are the ledger's only source, audit what replay reads years later: both stay.
    Topic(names.DECISIONS, True, _FOREVER),
    Topic(names.AUDIT, True, _FOREVER),
    Topic(names.CHECKPOINTS, True, _FOREVER),
    Topic(names.DEAD_LETTERS, True, _kept(90)),
    Topic(names.CONTROL, False, _COMMANDS),
    Topic(names.ACKS, False, _kept(90)),
    Topic(names.REVIEWS, True, {**_kept(365), **_ARRIVED}),
    Topic(names.OUTCOMES, True, _FOREVER),
    Topic(names.FUNNEL, False, _COMPACTED),
    Topic(names.PROFILES, True, _COMPACTED),
    Topic(names.CONTACTS, True, _kept(365)),
    Topic(names.RESPONSES, True, _kept(365)),
)


class Change(NamedTuple):
    """One topic that `apply` created or one setting it brought back."""

    topic: str
    what: str


class Drift(NamedTuple):
    """One way in which a topic differs from its declaration."""

    topic: str
    what: str
    declared: str
    found: str


def partitions_of(topic: Topic, partitions: int) -> int:
    """Partitions a topic is declared with; control topics have one, so that order is total."""
    return partitions if topic.copartitioned else 1


def apply(bootstrap: str, *, partitions: int, replication: int) -> list[Change]:
    """Create what is missing and set back drifted settings; says what it did.

    ConfigError where a topic exists with another partition count: raising it
    would send a person's next application to another partition than the last.
    """
    with _admin(bootstrap) as admin:
        existing = set(admin.list_topics())
        drifts = _drifts(admin, existing, partitions, replication)
        _refuse_repartitioning(drifts)
        missing = [topic for topic in TOPICS if topic.name not in existing]
        if missing:
            new = [
                NewTopic(
                    topic.name,
                    num_partitions=partitions_of(topic, partitions),
                    replication_factor=replication,
                    topic_configs=_configs(topic, replication),
                )
                for topic in missing
            ]
            admin.create_topics(new, timeout_ms=ANSWER_MS_MAX, wait_for_metadata=True)
            _await_leaders(admin, missing, partitions)
        drifted = {drift.topic for drift in drifts if drift.what != "missing"}
        again = [topic for topic in TOPICS if topic.name in drifted]
        if again:
            admin.alter_configs(
                [
                    ConfigResource(
                        ConfigResourceType.TOPIC, topic.name, _configs(topic, replication)
                    )
                    for topic in again
                ]
            )
    changes = [Change(topic.name, "created") for topic in missing]
    return changes + [Change(topic.name, "settings set back") for topic in again]


def diff(bootstrap: str, *, partitions: int, replication: int) -> list[Drift]:
    """Every difference between declaration and broker; empty when there is none."""
    with _admin(bootstrap) as admin:
        return _drifts(admin, set(admin.list_topics()), partitions, replication)


def _await_leaders(admin: Any, created: list[Topic], partitions: int) -> None:  # noqa: ANN401
    """Wait until every new partition's leader answers; metadata names it a moment before."""
    places = {
        TopicPartition(topic.name, number): OffsetSpec.LATEST
        for topic in created
        for number in range(partitions_of(topic, partitions))
    }
    deadline = time.monotonic() + LEADERS_SECONDS_MAX
    while True:
        try:
            admin.list_partition_offsets(places)
        except KafkaError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _configs(topic: Topic, replication: int) -> dict[str, str]:
    in_sync = max(1, replication - 1)
    return {**topic.configs, "min.insync.replicas": str(in_sync)}


def _drifts(
    admin: Any,  # noqa: ANN401
    existing: set[str],
    partitions: int,
    replication: int,
) -> list[Drift]:
    present = [topic for topic in TOPICS if topic.name in existing]
    drifts = [
        Drift(topic.name, "missing", "present", "absent")
        for topic in TOPICS
        if topic.name not in existing
    ]
    if not present:
        return drifts
    counts = {
        found["name"]: len(found["partitions"])
        for found in admin.describe_topics([topic.name for topic in present])
    }
    resources = [
        ConfigResource(
            ConfigResourceType.TOPIC, topic.name, dict.fromkeys(_configs(topic, replication))
        )
        for topic in present
    ]
    answers = admin.describe_configs(resources, config_filter="all")["topic"]
    for topic in present:
        declared = partitions_of(topic, partitions)
        if counts[topic.name] != declared:
            drifts.append(Drift(topic.name, "partitions", str(declared), str(counts[topic.name])))
        for key, value in _configs(topic, replication).items():
            found = str(answers[topic.name][key]["value"])
            if found != value:
                drifts.append(Drift(topic.name, key, value, found))
    return drifts


def _refuse_repartitioning(drifts: list[Drift]) -> None:
    wrong = [drift for drift in drifts if drift.what == "partitions"]
    if wrong:
        first = wrong[0]
        raise ConfigError(
            f"{len(wrong)} topics have another partition count than declared, such as "
            f"{first.topic}: {first.found}, declared {first.declared}",
            fix="set `partitions` to what exists; changing it would break the order per person",
        )


@contextmanager
def _admin(bootstrap: str) -> Iterator[Any]:
    client = None
    try:
        client = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            bootstrap_timeout_ms=ANSWER_MS_MAX,
            request_timeout_ms=ANSWER_MS_MAX,
        )
        yield client
    except KafkaError as error:
        raise BrokerError(
            f"{bootstrap}: {type(error).__name__}",
            fix="check that the broker runs and `bootstrap` names it",
        ) from error
    finally:
        if client is not None:
            client.close()
