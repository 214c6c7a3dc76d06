"""What goes in and what comes out of an engine under test, seen past the proxy.

`Feed` sends a steady stream of applications and remembers the ids. `tally` reads the committed
decisions and audit records afterwards and holds them against it. Both speak to the broker itself,
so that no fault of the proxy can hide a decision or feign one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from types import TracebackType
from typing import NamedTuple, Self
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from msgspec import json

from stream.codec.decision_v1 import decode_audit, decode_decision
from stream.codec.headers import cloud_event
from stream.codec.keys import PARTITIONER
from stream.demo.synthetic import synthetic_cases
from stream.demo.terms import LoanCase, Run
from stream.domain.chain import GENESIS, head_of, link
from stream.domain.instant import from_ms
from stream.domain.topics import APPLICATIONS, AUDIT, DECISIONS
from stream.edge.clients import headers_of

ANSWER_SECONDS = 60.0
CALL_SECONDS = 20.0

Ends = dict[tuple[str, int], int]
"""The end of each partition of each topic."""


class Feed:
    """Applications sent at a steady rate while the context lasts."""

    def __init__(self, bootstrap: str, rate: float) -> None:
        """Each with an id of its own, never seen by this broker before."""
        self.ids: list[str] = []
        self._name, self._rate = f"f{uuid4().hex[:10]}", rate
        self._client = Producer({"bootstrap.servers": bootstrap, "partitioner": PARTITIONER})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="feed", daemon=True)

    def _send_all(self) -> None:
        began = time.monotonic()
        for number, person in enumerate(self._people()):
            wait = began + number / self._rate - time.monotonic()
            if self._stop.wait(max(0.0, wait)):
                return
            self._send(json.decode(json.encode(person.application)))

    def _people(self) -> Iterator[LoanCase]:
        """Made-up people without an end."""
        now_ms = time.time_ns() // 1_000_000
        for hundred in count():
            yield from synthetic_cases(Run(now_ms=now_ms, name=f"{self._name}{hundred:04}"), 100)

    def _send(self, application: dict[str, object]) -> None:
        at = from_ms(time.time_ns() // 1_000_000)
        application["submitted_at"] = at
        application.pop("decide_by", None)
        self._client.produce(
            APPLICATIONS,
            key=str(application["applicant_token"]),
            value=json.encode(application),
            headers=[*cloud_event("loan.application.v1", "/faults", at, at)],
        )
        self._client.poll(0)
        self.ids.append(str(application["application_id"]))

    def __enter__(self) -> Self:
        """Begin to send."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send no more; what was sent is on the broker."""
        self._stop.set()
        self._thread.join()
        assert self._client.flush(CALL_SECONDS) == 0, "the broker took not all applications"


class Tally(NamedTuple):
    """What came out, against what went in."""

    sent: int
    decided: int
    lost: int
    doubled: int
    foreign: int
    unaudited: int
    chain_breaks: int

    @property
    def exact(self) -> bool:
        """Whether each application has one decision, each decision one audit record."""
        faults = self.lost + self.doubled + self.foreign + self.unaudited + self.chain_breaks
        return faults == 0 and self.sent == self.decided


def ends(bootstrap: str) -> Ends:
    """Where the topics end now, open transactions included."""
    reader = _reader(bootstrap, "read_uncommitted")
    try:
        return {
            (topic, number): reader.get_watermark_offsets(
                TopicPartition(topic, number), timeout=CALL_SECONDS
            )[1]
            for topic in (APPLICATIONS, DECISIONS, AUDIT)
            for number in reader.list_topics(topic, timeout=CALL_SECONDS).topics[topic].partitions
        }
    finally:
        reader.close()


def pass_over(bootstrap: str, group: str, at: Ends) -> None:
    """Let the group begin at these ends, so that it does not decide what is not its test's."""
    client = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False}
    )
    places = [TopicPartition(*place, end) for place, end in at.items() if place[0] == APPLICATIONS]
    client.commit(offsets=places, asynchronous=False)
    client.close()


def await_committed(bootstrap: str, group: str) -> None:
    """Wait until the group has committed all applications there are, as long as it gets on."""
    goal = {place: end for place, end in ends(bootstrap).items() if place[0] == APPLICATIONS}
    client = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False}
    )
    deadline, least = time.monotonic() + ANSWER_SECONDS, sum(goal.values()) + 1
    try:
        while True:
            found = client.committed([TopicPartition(*p) for p in goal], timeout=CALL_SECONDS)
            left = sum(max(0, goal[p.topic, p.partition] - max(0, p.offset)) for p in found)
            if not left:
                return
            if left < least:
                deadline, least = time.monotonic() + ANSWER_SECONDS, left
            assert time.monotonic() < deadline, f"{left} applications wait for a standing engine"
            time.sleep(0.1)
    finally:
        client.close()


def tally(bootstrap: str, ids: list[str], since: Ends) -> Tally:
    """Count the committed decisions and audit records since these ends against the ids sent."""
    decisions: Counter[str] = Counter()
    audits: Counter[str] = Counter()
    breaks = 0
    until = ends(bootstrap)
    for place, begin in since.items():
        topic, number = place
        head = None
        for message in _committed(bootstrap, place, begin, until[place]):
            value = message.value() or b""
            if topic == DECISIONS:
                decisions[decode_decision(value).application_id] += 1
            elif topic == AUDIT:
                audits[decode_audit(value).decision.application_id] += 1
                said = head_of(headers_of(message))
                before = head or (GENESIS if begin == 0 else None)
                if before is not None and said != link(before, number, message.key(), value):
                    breaks += 1
                head = said
    sent = set(ids)
    return Tally(
        sent=len(sent),
        decided=len(decisions),
        lost=len(sent - decisions.keys()),
        doubled=decisions.total() - len(decisions),
        foreign=len(decisions.keys() - sent),
        unaudited=sum(((decisions - audits) + (audits - decisions)).values()),
        chain_breaks=breaks,
    )


def _committed(bootstrap: str, place: tuple[str, int], begin: int, until: int) -> list[Message]:
    """Committed records of a partition between two offsets; waits for open transactions to end."""
    found: list[Message] = []
    if place[0] == APPLICATIONS or begin >= until:
        return found
    reader = _reader(bootstrap, "read_committed")
    reader.assign([TopicPartition(*place, begin)])
    deadline, reached = time.monotonic() + ANSWER_SECONDS, begin
    try:
        while reached < until:
            assert time.monotonic() < deadline, f"a transaction on {place} stays open"
            for message in reader.consume(1_000, 0.05):
                fault, offset = message.error(), message.offset() or 0
                if fault is None:
                    found.append(message)
                    reached = offset + 1
                elif fault.code() == KafkaError._PARTITION_EOF:
                    reached = offset
                else:
                    raise KafkaException(fault)
    finally:
        reader.close()
    return found


def _reader(bootstrap: str, isolation: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "faults-tally",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 20,
        }
    )
