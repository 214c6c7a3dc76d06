"""Which broker of three has a role in the engine's life just now."""

from __future__ import annotations

from random import Random

from chaos.quiet import QUIET
from confluent_kafka.admin import AdminClient

from stream.broker.settings import INTERNAL_PARTITIONS
from stream.config import Settings
from stream.domain.topics import APPLICATIONS

ROLES = ("transaction coordinator", "group coordinator", "leader of applications")
_CALL_SECONDS = 10.0


def java_hash(text: str) -> int:
    """`String.hashCode()` made positive as Kafka does to place a name on an internal topic."""
    found = 0
    for letter in text:
        found = (31 * found + ord(letter)) & 0xFFFFFFFF
    signed = found - (1 << 32) if found >= 1 << 31 else found
    return 0 if signed == -(1 << 31) else abs(signed)


def broker_of(role: str, settings: Settings, random: Random) -> int:
    """The node id of the broker that has the role, for the first worker."""
    group = settings.group_id
    topic, partition = {
        ROLES[0]: (
            "__transaction_state",
            java_hash(f"{group}-{settings.instance}-0-0") % INTERNAL_PARTITIONS,
        ),
        ROLES[1]: ("__consumer_offsets", java_hash(group) % INTERNAL_PARTITIONS),
        ROLES[2]: (APPLICATIONS, random.randrange(settings.partitions)),
    }[role]
    client = AdminClient({"bootstrap.servers": settings.bootstrap}, logger=QUIET)
    return int(
        client.list_topics(topic, timeout=_CALL_SECONDS).topics[topic].partitions[partition].leader
    )
