"""Counting again, from the topics alone: whether all that came in was answered.

Nothing here asks the engine. Duplicates are not what is left over but are
found by comparing content, so the sum can fail.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from msgspec import Struct, json

from stream.codec.application_v1 import check_envelope, content_sha256, decode_application
from stream.codec.decision_v1 import decode_decision
from stream.domain.decision import Decision, Outcome
from stream.domain.outcome import LoanOutcome, OutcomeEvent
from stream.domain.topics import APPLICATIONS, DEAD_LETTERS, DECISIONS, OUTCOMES
from stream.edge.client_log import CLIENT_LOG
from stream.errors import BrokerError, PoisonError

Offsets = Mapping[str, Mapping[int, int]]
"""Per topic and partition, the first offset that counts."""

TOPICS = (APPLICATIONS, DECISIONS, DEAD_LETTERS, OUTCOMES)
ANSWER_SECONDS_MAX = 10.0
SILENCE_SECONDS_MAX = 30.0
RECORDS_AT_ONCE = 1_000
WAIT_SECONDS = 0.05
"""Short, because `consume` waits this long whenever fewer records than asked for are left."""

_outcome = json.Decoder(LoanOutcome)


class Found(NamedTuple):
    """One record as it lies on its topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes | None]]


class Reconciliation(Struct, frozen=True):
    """Independent counts; `paid` is None where no disbursement system ran."""

    received: int
    decided: int
    decisions_doubled: int
    dead_letters: dict[str, int]
    duplicates: int
    approved: int
    paid: int | None
    paid_doubled: int
    paid_unapproved: int
    decisions_committed: int
    decisions_uncommitted: int

    @property
    def dead_lettered(self) -> int:
        """Dead letters of every reason."""
        return sum(self.dead_letters.values())

    @property
    def all_answered(self) -> bool:
        """Whether received = decided + dead letters + duplicates."""
        return self.received == self.decided + self.dead_lettered + self.duplicates

    @property
    def decided_once(self) -> bool:
        """Whether no application has two decisions."""
        return self.decisions_doubled == 0

    @property
    def paid_is_approved(self) -> bool:
        """Whether every approval was paid once and nothing else was."""
        if self.paid is None:
            return True
        clean = self.paid_doubled == 0 and self.paid_unapproved == 0
        return clean and self.paid == self.approved

    @property
    def adds_up(self) -> bool:
        """Whether every check holds."""
        return self.all_answered and self.decided_once and self.paid_is_approved


def end_offsets(bootstrap: str) -> dict[str, dict[int, int]]:
    """Where each topic ends now: what is given to `reconcile` to leave out what came before."""
    with_ends: dict[str, dict[int, int]] = {}
    consumer = _consumer(bootstrap, "read_uncommitted")
    try:
        for topic in TOPICS:
            ends = {}
            for number in _partitions(consumer, topic):
                place = TopicPartition(topic, number)
                ends[number] = consumer.get_watermark_offsets(place, ANSWER_SECONDS_MAX)[1]
            with_ends[topic] = ends
    finally:
        consumer.close()
    return with_ends


def reconcile(bootstrap: str, since: Offsets | None = None) -> Reconciliation:
    """Count what is on the topics from `since` on; everything where it is not given."""
    since = since or {}
    received, duplicates = _applications(bootstrap, since)
    decisions, approved = _decisions(bootstrap, since)
    paid, unapproved = _payments(bootstrap, since, approved)
    uncommitted = sum(1 for _ in read(bootstrap, DECISIONS, since, "read_uncommitted"))
    return Reconciliation(
        received=received,
        decided=len(decisions),
        decisions_doubled=decisions.total() - len(decisions),
        dead_letters=_dead_letters(bootstrap, since),
        duplicates=duplicates,
        approved=len(approved),
        paid=None if paid is None else len(paid),
        paid_doubled=0 if paid is None else paid.total() - len(paid),
        paid_unapproved=unapproved,
        decisions_committed=decisions.total(),
        decisions_uncommitted=uncommitted,
    )


def _applications(bootstrap: str, since: Offsets) -> tuple[int, int]:
    """Records received, and those whose id was seen before with the same content.

    Reads from the beginning, as the engine's ledger does: an application may
    repeat one from before `since`.
    """
    received = duplicates = 0
    seen: dict[tuple[int, str], str] = {}
    for message in read(bootstrap, APPLICATIONS, {}):
        counts = message.offset >= since.get(APPLICATIONS, {}).get(message.partition, 0)
        received += counts
        try:
            application = decode_application(message.value)
            check_envelope(application, message.key, message.headers)
        except PoisonError:
            continue
        content = content_sha256(application)
        who = (message.partition, application.application_id)
        if who not in seen:
            seen[who] = content
        elif seen[who] == content:
            duplicates += counts
    return received, duplicates


def _decisions(bootstrap: str, since: Offsets) -> tuple[Counter[str], set[str]]:
    """Decisions per decision id, and the ids of approvals."""
    found: Counter[str] = Counter()
    approved: set[str] = set()
    for message in read(bootstrap, DECISIONS, since):
        decision = decode_decision(message.value)
        found[decision.decision_id] += 1
        if decision.outcome is Outcome.APPROVE:
            approved.add(decision.decision_id)
    return found, approved


def read_decisions(bootstrap: str, since: Offsets | None = None) -> Iterator[Decision]:
    """Every committed decision from `since` on."""
    for message in read(bootstrap, DECISIONS, since or {}):
        yield decode_decision(message.value)


def _dead_letters(bootstrap: str, since: Offsets) -> dict[str, int]:
    found: Counter[str] = Counter()
    for message in read(bootstrap, DEAD_LETTERS, since):
        headers = dict(message.headers)
        found[(headers.get("x-error-reason") or b"unnamed").decode()] += 1
    return dict(found.most_common())


def _payments(
    bootstrap: str, since: Offsets, approved: set[str]
) -> tuple[Counter[str] | None, int]:
    """Payments per decision id, and how many were not approved; None without the topic."""
    found: Counter[str] = Counter()
    exists = False
    for message in read(bootstrap, OUTCOMES, since):
        exists = True
        outcome = _outcome.decode(message.value)
        if outcome.event is OutcomeEvent.DISBURSED:
            found[outcome.decision_id] += 1
    if not exists and not _exists(bootstrap, OUTCOMES):
        return None, 0
    return found, len(found.keys() - approved)


def read(
    bootstrap: str, topic: str, since: Offsets, isolation: str = "read_committed"
) -> Iterator[Found]:
    """Every record of `topic` from `since` to its present end; nothing where it does not exist."""
    consumer = _consumer(bootstrap, isolation)
    try:
        starts = since.get(topic, {})
        open_partitions = set(_partitions(consumer, topic))
        places = [
            TopicPartition(topic, number, starts.get(number, OFFSET_BEGINNING))
            for number in open_partitions
        ]
        consumer.assign(places)
        heard_at = time.monotonic()
        while open_partitions:
            messages = consumer.consume(RECORDS_AT_ONCE, timeout=WAIT_SECONDS)
            if messages:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > SILENCE_SECONDS_MAX:
                raise BrokerError(f"{topic} fell silent before its end", fix="look at the broker")
            for message in messages:
                error = message.error()
                if error is None:
                    yield _found(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()


def _found(message: Message) -> Found:
    pairs = message.headers() or []
    assert isinstance(pairs, list)
    headers = [(name, _bytes(value)) for name, value in pairs]
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    return Found(partition, offset, _bytes(message.key()), _bytes(message.value()) or b"", headers)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _consumer(bootstrap: str, isolation: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"tenminute-reconcile-{uuid.uuid4().hex}",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 20,
            "log_level": 3,
        },
        logger=CLIENT_LOG,
    )


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    return list(consumer.list_topics(topic, timeout=ANSWER_SECONDS_MAX).topics[topic].partitions)


def _exists(bootstrap: str, topic: str) -> bool:
    consumer = _consumer(bootstrap, "read_committed")
    try:
        return bool(_partitions(consumer, topic))
    finally:
        consumer.close()
