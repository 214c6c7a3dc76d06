"""What `tenminute doctor` looks at beyond this host: broker, topics, and the store they feed."""

from __future__ import annotations

import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream.config import Settings
from stream.edge.lmdb_store import StoreReader
from stream.edge.processes import topic_ends
from stream.errors import BrokerError, ConfigError, FatalError
from stream.ops.memo_words import lasting
from stream.ops.topics import diff
from stream.policy.load import load_policy

ANSWER_SECONDS_MAX = 5.0
DRIFTS_SHOWN_MAX = 3


def broker(settings: Settings) -> str:
    """The cluster, if it answers."""
    admin = AdminClient({**settings.kafka, "bootstrap.servers": settings.bootstrap, "log_level": 0})
    try:
        found = admin.list_topics(timeout=ANSWER_SECONDS_MAX)
    except KafkaException as error:
        raise BrokerError(
            f"no answer from {settings.bootstrap}: {error.args[0].name()}",
            fix="start the broker, or set `bootstrap` or --bootstrap to where it runs",
        ) from error
    brokers = len(found.brokers)
    return f"cluster {found.cluster_id}, brokers: {brokers}, at {settings.bootstrap}"


def topics(settings: Settings) -> str:
    """Whether the topics are as declared."""
    drifts = diff(
        settings.bootstrap, partitions=settings.partitions, replication=settings.replication
    )
    if drifts:
        shown = ", ".join(f"{each.topic} {each.what}" for each in drifts[:DRIFTS_SHOWN_MAX])
        more = len(drifts) - DRIFTS_SHOWN_MAX
        raise BrokerError(
            f"{len(drifts)} differ: {shown}" + (f" and {more} more" if more > 0 else ""),
            fix="run: tenminute topics apply",
        )
    return "as declared"


def store(settings: Settings) -> str:
    """How far the store is behind its topics, and since when."""
    said = store_alone(settings)
    _, ends = topic_ends(settings)
    with StoreReader(settings.store_dir) as store:
        held = store.offsets()
    behind = sum(max(0, end - held.get(place, 0)) for place, end in ends.items())
    ahead = [place for place, at in held.items() if at > ends.get(place, 0)]
    if ahead:
        raise ConfigError(
            f"{settings.store_dir} was fed from another cluster: ahead of {ahead[0][0]}",
            fix="start the engine, whose keeper builds it anew, or set `state_dir`",
        )
    if behind:
        raise FatalError(
            f"{said}; {behind:,} records behind its topics",
            fix="start the engine, or wait if it runs; then look at the keeper's log",
        )
    return f"{said}; level with its topics"


def store_alone(settings: Settings) -> str:
    """What the store holds, and whether it is fresher than the policy's bound."""
    with StoreReader(settings.store_dir) as store:
        counts = store.counts()
        with store.reading() as views:
            age_ms = time.time_ns() // 1_000_000 - views.fresh_at_ms
            fresh_at_ms = views.fresh_at_ms
    held = ", ".join(f"{number:,} {topic}" for topic, number in counts.items())
    if fresh_at_ms == 0:
        raise FatalError(f"{held}; never caught up", fix="start the engine and wait until ready")
    try:
        age_max_ms = load_policy(settings.policy_file).store_age_max_ms
    except ConfigError:
        return f"{held}; {lasting(age_ms)} old"  # the policy has its own finding
    if age_ms > age_max_ms:
        raise FatalError(
            f"{held}; {lasting(age_ms)} old, the policy allows {lasting(age_max_ms)}",
            fix="start the engine: its keeper brings the store up to date",
        )
    return f"{held}; {lasting(age_ms)} old"
