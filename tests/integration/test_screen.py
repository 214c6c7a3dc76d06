"""Screening on a real broker: what stands on the list when its last owner has not finished."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from builders import entry
from confluent_kafka import Consumer, Producer, TopicPartition

from stream.codec.keys import PARTITIONER, partition_of
from stream.config import Settings, load_settings
from stream.domain.topics import DEAD_LETTERS, PROFILES, WHITELIST
from stream.ops.screen import ScreenWorker

pytestmark = pytest.mark.broker
VERSION = 900_000
"""Above that of any entry of another test on the same list."""


def _settings(given: Settings, folder: Path) -> Settings:
    text = given.screening_file.read_text(encoding="utf-8")
    rules = folder / "screening.toml"
    rules.write_text(
        text.replace("list_version = 1", f"list_version = {VERSION}"), encoding="utf-8"
    )
    return load_settings(
        bootstrap=given.bootstrap,
        state_dir=folder / uuid4().hex,
        group_id=given.group_id,
        screening_file=rules,
    )


def _offer(token: str) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(entry(), applicant_token=token))


def _past_due(token: str) -> bytes:
    return msgspec.json.encode({
        "applicant_token": token, "segment": "consumer", "screening_consent": True,
        "as_of": time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime()),
        "annual_income_fen": 30_000_000, "accounts_past_due": 1,
    })  # fmt: skip


def _send(settings: Settings, topic: str, said: Sequence[tuple[str, bytes | None]]) -> None:
    client = Producer({"bootstrap.servers": settings.bootstrap, "partitioner": PARTITIONER})
    for token, value in said:
        client.produce(topic, value, token)
    assert client.flush(30) == 0


def _ends(settings: Settings, topic: str) -> list[TopicPartition]:
    asker = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "ends"})
    places = [TopicPartition(topic, p) for p in range(settings.partitions)]
    ends = [asker.get_watermark_offsets(place, timeout=10)[1] for place in places]
    asker.close()
    return [TopicPartition(topic, place.partition, end)
            for place, end in zip(places, ends, strict=True)]  # fmt: skip


def _since(settings: Settings, starts: list[TopicPartition]) -> list[tuple[bytes, bytes | None]]:
    """Keys and values of committed records from `starts` to the ends as they are now."""
    ends = {place.partition: place.offset for place in _ends(settings, starts[0].topic)}
    left = {s.partition for s in starts if s.offset < ends[s.partition]}
    reader = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "look",
                       "enable.partition.eof": True})  # fmt: skip
    reader.assign(starts)
    found, deadline = [], time.monotonic() + 60
    while left and time.monotonic() < deadline:
        message = reader.poll(0.5)
        if message is None:
            continue
        if message.error() is None:
            found.append((message.key(), message.value()))
        elif message.offset() >= ends[message.partition()]:
            left.discard(message.partition())
    reader.close()
    assert not left
    return found


def _screen(settings: Settings) -> threading.Thread:
    def run() -> None:
        with closing(ScreenWorker(settings)) as worker:
            worker.run(threading.Event(), lambda _done, _total: None, once=True)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_what_stands_when_the_last_owner_finishes_late(settings: Settings, tmp_path: Path) -> None:
    """Three on the list must come off: past due, profile deleted, profile unreadable.

    The first's entry is in a transaction that an earlier owner commits only after this one has
    begun. All three get a tombstone, and the unreadable profile is a dead letter.
    """
    settings = _settings(settings, tmp_path)
    late, deleted, unreadable = (f"a1_{uuid4().hex}" for _ in range(3))
    _send(settings, WHITELIST, [(deleted, _offer(deleted)), (unreadable, _offer(unreadable))])
    _send(settings, PROFILES, [(late, _past_due(late)), (deleted, None), (unreadable, b"{")])
    starts, letters = _ends(settings, WHITELIST), _ends(settings, DEAD_LETTERS)
    owner = Producer({"bootstrap.servers": settings.bootstrap, "partitioner": PARTITIONER,
                      "transactional.id": uuid4().hex})  # fmt: skip
    owner.init_transactions(30)
    owner.begin_transaction()
    owner.produce(WHITELIST, _offer(late), late, partition_of(late.encode(), settings.partitions))
    assert owner.flush(30) == 0
    thread = _screen(settings)
    thread.join(6)
    owner.commit_transaction(30)
    thread.join(90)
    assert not thread.is_alive()
    last = dict(_since(settings, starts))
    sent = [last.get(token.encode(), b"not sent") for token in (late, deleted, unreadable)]
    assert sent == [None, None, None]
    assert len(_since(settings, letters)) >= 1
