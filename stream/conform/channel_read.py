"""Reads what a channel under test publishes, and what the broker knows of its producer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaException, Message, TopicPartition
from kafka import KafkaAdminClient
from kafka import TopicPartition as Place
from kafka.errors import KafkaError

from stream.config import Settings
from stream.conform.sample import Sample
from stream.conform.verdict import Finding
from stream.edge.clients import consumer, headers_of
from stream.errors import BrokerError

ANSWER_SECONDS_MAX = 10.0
POLL_SECONDS = 0.2


class Reader:
    """Everything on a topic from now on, or from its start."""

    def __init__(self, settings: Settings, topic: str, partitions: int, *, whole: bool) -> None:
        """Note where to read from; records published after this are seen."""
        self._settings = settings
        self._consumer = consumer(settings, "tenminute-conform")
        places = [TopicPartition(topic, number) for number in range(partitions)]
        for place in places:
            first, end = self._consumer.get_watermark_offsets(place, ANSWER_SECONDS_MAX)
            place.offset = first if whole else end
        self._consumer.assign(places)

    def read(self, count: int, timeout_seconds: float) -> list[Sample]:
        """Up to `count` records, in order within a partition; ends early when time is up."""
        samples: list[Sample] = []
        deadline = time.monotonic() + timeout_seconds
        try:
            while len(samples) < count and time.monotonic() < deadline:
                message = self._consumer.poll(POLL_SECONDS)
                if message is None:
                    continue
                if message.error() is not None:
                    raise BrokerError(str(message.error()), fix="check the broker and the topic")
                samples.append(_sample(message))
        except KafkaException as error:
            raise BrokerError(str(error.args[0]), fix="check the broker and the topic") from error
        finally:
            self._consumer.close()
        return samples


def producer_hint(settings: Settings, topic: str, samples: Sequence[Sample]) -> Finding:
    """Whether the broker knows the producers as idempotent ones; acks cannot be seen."""
    meaning = "the producer is idempotent (acks=all and retries in order follow from it)"
    fix = "set enable.idempotence=true"
    places = [Place(topic, number) for number in sorted({each.partition for each in samples})]
    try:
        known = _producers(settings.bootstrap, places)
    except (KafkaError, ValueError) as error:
        detail = f"the broker does not tell ({type(error).__name__})"
        return Finding("producer", None, detail, meaning, fix)
    without = sum(not known.get(place) for place in places)
    if without:
        detail = f"hint: no producer id in {without} of {len(places)} partitions: {fix}"
        return Finding("producer", None, detail, meaning, fix)
    return Finding("producer", None, f"yes, in all {len(places)} partitions", meaning, fix)


def _producers(bootstrap: str, places: Sequence[Place]) -> dict[Place, list[Any]]:
    """Producers of each partition that gave themselves an id."""
    admin: Any = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        answer: dict[Place, Any] = admin.describe_producers(list(places))
    finally:
        admin.close()
    return {place: list(state.active_producers) for place, state in answer.items()}


def _sample(message: Message) -> Sample:
    partition = message.partition() or 0
    return Sample(
        f"{partition}/{message.offset()}",
        partition,
        message.key(),
        message.value() or b"",
        headers_of(message),
        time.time_ns() // 1_000_000,
    )
