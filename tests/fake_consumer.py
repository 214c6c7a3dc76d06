"""A consumer of one partition per topic, fed by the test, for the keeper to read from."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import NamedTuple

from stream.domain.topics import BUREAU, WHITELIST


class Message(NamedTuple):
    """A polled record without an error."""

    of_topic: str
    of_key: bytes | None
    of_value: bytes | None
    at: int = 0

    def error(self) -> None:
        return None

    def topic(self) -> str:
        return self.of_topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return self.of_key

    def value(self) -> bytes | None:
        return self.of_value


class FakeConsumer:
    """One partition per topic; what is put in `waiting` is polled next."""

    def __init__(self) -> None:
        self.topics = [WHITELIST, BUREAU]
        self.ends = {WHITELIST: 0, BUREAU: 0}
        self.waiting: list[Message] = []
        self.cluster = "cluster-a"

    def put(self, *messages: Message) -> None:
        for message in messages:
            at = self.ends[message.of_topic]
            self.waiting.append(message._replace(at=at))
            self.ends[message.of_topic] = at + 1

    def consume(self, _count: int, _seconds: float) -> Sequence[Message]:
        polled, self.waiting = self.waiting, []
        return polled

    def list_topics(self, timeout: float) -> object:
        topics = {topic: SimpleNamespace(partitions={0: None}) for topic in self.topics}
        return SimpleNamespace(topics=topics, cluster_id=self.cluster)

    def get_watermark_offsets(self, place: object, timeout: float) -> tuple[int, int]:
        return 0, self.ends[getattr(place, "topic")]  # noqa: B009 (confluent's has no stubs)

    def assign(self, places: object) -> None:
        self.assigned = places

    def close(self) -> None:
        self.assigned = None
