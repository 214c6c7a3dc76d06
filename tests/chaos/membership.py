"""Who is in the engine's group, as Kafka says: by static name, with the partitions it holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from chaos.quiet import QUIET
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream.config import Settings
from stream.domain.topics import APPLICATIONS

EXPELLED_SECONDS_MAX = 60.0
_CALL_SECONDS = 10.0

Holders = dict[str, set[int]]


def holders(settings: Settings) -> Holders:
    """Partitions of the applications by static name; of a group that settles, nothing yet."""
    client = AdminClient({"bootstrap.servers": settings.bootstrap}, logger=QUIET)
    asked = client.describe_consumer_groups([settings.group_id], request_timeout=_CALL_SECONDS)
    found: Holders = {}
    for member in asked[settings.group_id].result().members:
        places = member.assignment.topic_partitions if member.assignment else []
        held = {place.partition for place in places if place.topic == APPLICATIONS}
        found[str(member.group_instance_id)] = held
    return found


def expelled(found: Holders, names: Collection[str], partitions: int) -> bool:
    """Whether none of the names is a member, and the others hold every partition between them."""
    held = {number for each in found.values() for number in each}
    return not found.keys() & {*names} and held == {*range(partitions)}


def await_expelled(
    names: Collection[str], ask: Callable[[], Holders], partitions: int, seconds: float
) -> bool:
    """Ask until all of the names are expelled; False when they are not in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if expelled(ask(), names, partitions):
                return True
        except KafkaException:  # the coordinator is busy: asked again
            pass
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
