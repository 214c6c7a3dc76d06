"""The channel kit on the real broker: our publisher passes, a default client is told its word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from builders import application, token
from confluent_kafka import Producer
from kafka import KafkaProducer

from stream.codec.headers import cloud_event
from stream.config import Settings
from stream.conform.channel import conform_topic
from stream.conform.verdict import Finding, exit_of
from stream.domain.topics import APPLICATIONS
from stream.errors import Exit
from stream.ops.publish import send
from stream.ops.publish_kinds import SHEETS, Kind

pytestmark = pytest.mark.broker
SHEET = SHEETS[Kind.APPLICATIONS]
COUNT = 20


def documents() -> list[dict[str, Any]]:
    run = uuid4().hex[:8]
    return [
        application(application_id=f"conform-{run}-{number}", applicant_token=token(number))
        for number in range(COUNT)
    ]


def judged(settings: Settings, topic: str, publish: Callable[[], object]) -> dict[str, Finding]:
    """The kit's findings on what `publish` sends once the kit listens."""

    def listening(_line: str) -> None:
        publish()

    findings = conform_topic(settings, topic, COUNT, 30.0, listening)
    assert (Exit.OK if all(each.passed is not False for each in findings) else Exit.FAILED) == (
        exit_of(findings)
    )
    return {each.rule: each for each in findings}


def broken(found: dict[str, Finding]) -> set[str]:
    return {rule for rule, each in found.items() if each.passed is False}


def test_our_own_publisher_keeps_every_rule(settings: Settings, tmp_path: Path) -> None:
    """What `tenminute publish` sends passes, and the broker knows it as idempotent."""
    file = tmp_path / "applications.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in documents()))
    found = judged(settings, APPLICATIONS, lambda: send(file, settings, COUNT, SHEET, show=False))
    assert broken(found) == set()
    assert found["arrived"].detail == "20 of 20"
    assert found["producer"].detail.startswith("yes")


def test_a_default_confluent_producer_is_told_its_partitioner(settings: Settings) -> None:
    """Everything is right but the hash, and that is called by librdkafka's name for it."""
    topic = f"conform-{uuid4().hex[:8]}"

    def publish() -> None:
        client = Producer({"bootstrap.servers": settings.bootstrap})
        for each in documents():
            value, key = json.dumps(each).encode(), each["applicant_token"].encode()
            about = (each["application_id"], each["submitted_at"])
            headers = cloud_event("loan.application.v1", "/channels/h5", *about)
            client.produce(topic, value, key, headers=[*headers])
        assert client.flush(20) == 0

    found = judged(settings, topic, publish)
    assert broken(found) == {"partitioner"}
    assert "consistent_random" in found["partitioner"].detail
    assert "murmur2_random" in found["partitioner"].fix
    assert found["producer"].detail.startswith("hint")


class _NotUtf8(str):
    """A header name whose bytes on the wire are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


def test_a_channel_without_key_and_with_odd_headers_is_told_each_fault(settings: Settings) -> None:
    """No key, a quoted key and headers nobody can read: each has its line, none stops the kit."""
    topic = f"conform-{uuid4().hex[:8]}"

    def publish() -> None:
        client = KafkaProducer(bootstrap_servers=settings.bootstrap)
        for number, each in enumerate(documents()):
            quoted = json.dumps(each["applicant_token"]).encode()
            headers = [("schema_version", b"1"), (_NotUtf8("x"), b"1")]
            key = quoted if number % 2 else None
            client.send(topic, json.dumps(each).encode(), key, headers)
        client.flush()
        client.close()

    found = judged(settings, topic, publish)
    assert {"engine", "headers", "key"} == broken(found)
    assert "no key: 10" in found["key"].detail
    assert "another key: 10" in found["key"].detail
    assert "wrong_key: key: no key" in found["engine"].detail


def test_silence_is_a_fault(settings: Settings) -> None:
    """Nothing within the time is one line and a failure, not twelve lines of praise."""
    (finding,) = conform_topic(settings, f"c-{uuid4().hex[:8]}", 1, 1.0, lambda _line: None)
    assert (finding.rule, finding.passed) == ("arrived", False)
