"""What lies on the topics after a run, read for the oracle."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache

import msgspec
import orjson
from chaos.oracle import Audited, Decided, Given, Letter, Seen
from chaos.quiet import QUIET
from chaos.workload import MARK
from confluent_kafka import Consumer, KafkaException, TopicPartition
from kafka.partitioner.default import murmur2

from stream.codec.decision_v1 import DEAD_LETTER_AUDITED, decode_audit, decode_decision
from stream.demo.reconcile import Found, Offsets, read
from stream.domain.chain import GENESIS, ChainHead, head_of, link
from stream.domain.decision import Decision
from stream.domain.topics import (
    APPLICATIONS,
    AUDIT,
    DEAD_LETTERS,
    DECISIONS,
    EVENTS,
    INPUTS,
    REVIEWS,
)
from stream.ports import Place

_TOPICS = (*INPUTS, DECISIONS, DEAD_LETTERS, AUDIT)
_CALL_SECONDS = 30.0
_FORWARDED = "x-forwarded-from"


@lru_cache(maxsize=1_000_000)
def home_of(key: bytes, partitions: int = 6) -> int:
    """Partition of a key by kafka-python's own hash, which is none of the engine's code."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def looker(bootstrap: str, group: str = "chaos-look", **extra: object) -> Consumer:
    """A consumer that commits nothing."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "isolation.level": "read_uncommitted",
            "reconnect.backoff.max.ms": 1_000,
            "fetch.wait.max.ms": 50,
            **extra,
        },
        logger=QUIET,
    )


def ends(bootstrap: str) -> dict[str, dict[int, int]]:
    """Where every topic the oracle reads ends now; a leader still being found is waited for."""
    client = looker(bootstrap)
    try:
        topics = client.list_topics(timeout=_CALL_SECONDS).topics
        return {
            topic: {number: _end(client, topic, number) for number in topics[topic].partitions}
            for topic in _TOPICS
        }
    finally:
        client.close()


def _end(client: Consumer, topic: str, number: int) -> int:
    deadline = time.monotonic() + _CALL_SECONDS
    while True:
        try:
            return int(client.get_watermark_offsets(TopicPartition(topic, number), 5.0)[1])
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def committed(
    bootstrap: str, group: str, partitions: int = 6, topic: str = APPLICATIONS
) -> dict[int, int]:
    """The group's committed offsets of a topic; -1 where there is none."""
    client = looker(bootstrap, group)
    try:
        asked = [TopicPartition(topic, number) for number in range(partitions)]
        answers = client.committed(asked, timeout=_CALL_SECONDS)
        return {answer.partition: max(-1, answer.offset) for answer in answers}
    finally:
        client.close()


def read_all(bootstrap: str, group: str, since: Offsets) -> Seen:
    """Every output from `since` on."""
    audited, breaks = _audited(read(bootstrap, AUDIT, since))
    given = [_given(found) for found in read(bootstrap, APPLICATIONS, since)]
    last: dict[Place, int] = {Place(APPLICATIONS, each.partition): each.offset for each in given}
    for topic in (EVENTS, REVIEWS):
        last |= {Place(topic, f.partition): f.offset for f in read(bootstrap, topic, since)}
    offsets = {
        Place(topic, number): offset
        for topic in INPUTS
        for number, offset in committed(bootstrap, group, topic=topic).items()
    }
    until = ends(bootstrap)
    return Seen(
        given=given,
        decided=[_decided(found) for found in read(bootstrap, DECISIONS, since)],
        letters=[_letter(found) for found in read(bootstrap, DEAD_LETTERS, since)],
        audited=audited,
        breaks=breaks,
        last=last,
        committed=offsets,
        ends={Place(topic, n): end for topic in INPUTS for n, end in until[topic].items()},
        uncommitted=sum(1 for _ in read(bootstrap, DECISIONS, since, "read_uncommitted")),
    )


def _given(found: Found) -> Given:
    headers = dict(found.headers)
    number, _, fault = (headers.get(MARK) or b"-1:unmarked").decode().partition(":")
    origin = headers.get(_FORWARDED)
    application_id = "" if fault else str(orjson.loads(found.value)["application_id"])
    sha256 = hashlib.sha256(found.value).hexdigest()
    return Given(
        found.partition,
        found.offset,
        found.key or b"",
        int(number),
        fault,
        application_id,
        sha256,
        origin.decode() if origin else None,
    )


def _digest(decision: Decision) -> bytes:
    return hashlib.sha256(msgspec.json.encode(decision)).digest()[:16]


def _decided(found: Found) -> Decided:
    decision = decode_decision(found.value)
    return Decided(
        found.partition,
        found.offset,
        decision.decision_id,
        decision.application_id,
        decision.applicant_token,
        decision.application_sha256,
        decision.approved_amount_fen,
        decision.exposure_before_fen,
        decision.exposure_after_fen,
        _digest(decision),
        decision.stage,
        decision.review.review_id if decision.review else "",
        decision.list_version,
    )


def _letter(found: Found) -> Letter:
    said = {name: (value or b"").decode() for name, value in found.headers}
    origin = f"{said['x-origin-partition']}/{said['x-origin-offset']}"
    return Letter(found.partition, found.offset, origin, said["x-error-reason"], said["x-sha256"])


def _audited(records: Iterator[Found]) -> tuple[list[Audited], list[str]]:
    audited, chain = [], ChainCheck()
    for found in records:
        chain.look(found)
        kind = dict(found.headers).get("ce_type") or b""
        if kind == DEAD_LETTER_AUDITED.encode():
            letter = orjson.loads(found.value)
            source = f"{letter['source_partition']}/{letter['source_offset']}"
            digest = str(letter["sha256"]).encode()
            audited.append(Audited(found.partition, found.offset, source, source, digest))
            continue
        audit = decode_audit(found.value)
        source = f"{audit.source_partition}/{audit.source_offset}"
        about, digest = audit.decision.decision_id, _digest(audit.decision)
        audited.append(Audited(found.partition, found.offset, about, source, digest))
    return audited, chain.breaks


class ChainCheck:
    """Follows the hash chain of every partition, from the first record it is shown."""

    def __init__(self) -> None:
        self.breaks: list[str] = []
        self._heads: dict[int, ChainHead] = {}

    def look(self, found: Found) -> None:
        """One more audit record, in the order of its partition."""
        said = head_of(found.headers)
        before = self._heads.get(found.partition)
        if before is None:
            previous = bytes.fromhex(_named(found.headers, "x-chain-previous"))
            sequence = said.sequence - 1 if said else 0
            before = ChainHead(sequence, previous) if sequence else GENESIS
        head = link(before, found.partition, found.key, found.value)
        if head != said:
            self.breaks.append(f"decision.audit/{found.partition}/{found.offset}")
        self._heads[found.partition] = said or head


def _named(headers: Mapping[str, bytes | None] | list[tuple[str, bytes | None]], name: str) -> str:
    return (dict(headers).get(name) or b"").decode()
