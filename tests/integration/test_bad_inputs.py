"""The bad inputs on a real Kafka, through the running engine: one answer each, and it goes on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from builders import bureau, entry
from confluent_kafka import Message, Producer, TopicPartition
from corpus.bench import SAFE
from corpus.catalogue import BAD, Input, cases
from corpus.making import SOUND
from engine_runs import await_decided, engine_settings, pass_over_earlier
from engine_runs import cases as made_up
from policy_cases import TOKEN

from stream.broker import EmbeddedBroker
from stream.codec.keys import partition_of
from stream.config import Settings
from stream.demo.parts import Parts, await_ready
from stream.demo.reconcile import end_offsets, read_decisions
from stream.domain.instant import from_ms
from stream.domain.topics import APPLICATIONS, BUREAU, DEAD_LETTERS, WHITELIST
from stream.edge.clients import consumer, transactional_producer
from stream.ports import Record

pytestmark = pytest.mark.broker
PARTITIONS = 6
BOMB_BYTES_MAX = 20_000_000
DAY_MS = 86_400_000
ANSWER_SECONDS = 60.0
MESSAGE_BYTES_MAX = 1_010_000
"""What the broker takes in an uncompressed batch; it refuses more by itself."""

SENDABLE = [
    bad
    for bad in BAD
    if len(bad.record.value or b"") <= MESSAGE_BYTES_MAX and not "60" <= bad.name[:2] <= "67"
]
"""All but what depends on the day: numbers 60 to 67 are tried against a fixed clock."""


def _producer(settings: Settings, codec: str = "none") -> Producer:
    return Producer(
        {
            "bootstrap.servers": settings.bootstrap,
            "compression.type": codec,
            "message.max.bytes": BOMB_BYTES_MAX,
            "linger.ms": 50,
        }
    )


def _known_person(settings: Settings, now_ms: int) -> None:
    """A standing offer and a clean report for the person of the tables."""
    offer = entry(valid_from=from_ms(now_ms - DAY_MS), valid_to=from_ms(now_ms + DAY_MS))
    report = bureau(**SAFE, as_of=from_ms(now_ms - DAY_MS))
    client = _producer(settings)
    for topic, value in ((WHITELIST, offer), (BUREAU, report)):
        home = partition_of(TOKEN.encode(), PARTITIONS)
        client.produce(topic, msgspec.json.encode(value), TOKEN.encode(), home)
    assert client.flush(30) == 0


def _today(value: bytes | None, now_ms: int) -> bytes:
    """The same application, submitted now under an authorisation in force."""
    whole = from_ms(now_ms)[:19].encode() + b"Z"
    later = from_ms(now_ms + DAY_MS)[:19].encode() + b"Z"
    dated = (value or b"").replace(b"2026-11-24T08:00:00Z", whole)
    dated = dated.replace(b"2026-11-24T07:59:00Z", whole)
    return dated.replace(b"2026-12-24T07:59:00Z", later)


def _send(client: Producer, record: Record, value: bytes | None) -> None:
    home = partition_of(record.key, PARTITIONS) if record.key else 0
    headers = [(name, value) for name, value in record.headers]
    client.produce(APPLICATIONS, value, record.key, home, headers=headers)
    client.poll(0)


def _aborted(settings: Settings, each: Input, now_ms: int) -> None:
    """The application in a transaction that is given up, which leaves a marker behind."""
    client = transactional_producer(settings, f"{settings.group_id}-channel")
    client.init_transactions(30)
    client.begin_transaction()
    _send(client, each.record, _today(each.record.value, now_ms))
    assert client.flush(30) == 0
    client.abort_transaction(30)


def _letters(settings: Settings, since: dict[int, int]) -> Iterator[Message]:
    """Every committed dead letter after `since`."""
    reader = consumer(settings, f"{settings.group_id}-letters")
    try:
        for number, start in since.items():
            place = TopicPartition(DEAD_LETTERS, number, start)
            _, end = reader.get_watermark_offsets(place, timeout=10)
            reader.assign([place])
            while reader.position([place])[0].offset < end and start < end:
                yield from (m for m in reader.consume(500, 0.5) if m.error() is None)
    finally:
        reader.close()


def _answers(settings: Settings, since: dict[int, int]) -> Counter[str]:
    """The dead letters after `since` in the words of the tables, counted."""
    got: Counter[str] = Counter()
    for letter in _letters(settings, since):
        headers = dict(letter.headers() or ())
        reason, field = headers["x-error-reason"], headers["x-error-field"]
        got[f"dead_letter {reason.decode()} {field.decode()}"] += 1
    return got


def _ends(settings: Settings, topic: str) -> dict[int, int]:
    looker = consumer(settings, f"{settings.group_id}-ends")
    try:
        return {
            number: looker.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1]
            for number in range(PARTITIONS)
        }
    finally:
        looker.close()


def test_every_bad_input_has_one_answer_from_the_running_engine(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """Bombs, aborted batches, the whole catalogue: a letter each, then the largest is approved."""
    run, _ = made_up(1)
    settings = engine_settings(broker.bootstrap, tmp_path / "engine", run)
    now_ms = time.time_ns() // 1_000_000
    decided_since, letters_since = end_offsets(broker.bootstrap), _ends(settings, DEAD_LETTERS)
    pass_over_earlier(settings)
    _known_person(settings, now_ms)
    inputs = [each for case in cases("broker") for each in case.inputs]
    expected: Counter[str] = Counter()
    plain = _producer(settings)
    for bad in SENDABLE:
        _send(plain, bad.record, bad.record.value)
        expected[f"dead_letter {bad.reason} {bad.field}"] += 1
    for each in inputs:
        codec = each.situation.get("codec")
        if each.expect == "not read":
            _aborted(settings, each, now_ms)
        elif codec is not None:
            bomb = _producer(settings, codec)
            _send(bomb, each.record, each.record.value)
            assert bomb.flush(30) == 0
            expected[each.expect] += 1
    assert plain.flush(30) == 0
    (largest,) = (each for each in inputs if each.expect == "decided as usual")
    _send(plain, largest.record, _today(largest.record.value, now_ms))
    assert plain.flush(30) == 0
    with Parts(settings, tmp_path / "logs") as parts:
        parts.start("engine")
        await_ready(settings, parts, 60.0)
        await_decided(broker.bootstrap, decided_since, parts, 1)
        deadline = time.monotonic() + ANSWER_SECONDS
        while (got := _answers(settings, letters_since)).total() < expected.total():
            parts.check()
            assert time.monotonic() < deadline, f"still without a letter: {expected - got}"
    assert expected == _answers(settings, letters_since)
    (decision,) = read_decisions(broker.bootstrap, decided_since)
    asked = msgspec.json.decode(SOUND)["requested_amount_fen"]
    assert (decision.outcome, decision.approved_amount_fen) == ("approve", asked)
