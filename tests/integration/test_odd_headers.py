"""A header that the client cannot even read costs its record, not the engine."""

from __future__ import annotations

import pytest
from builders import application_bytes
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaProducer
from policy_cases import TOKEN

from stream.codec.application_v1 import check_envelope, decode_application
from stream.config import Settings
from stream.edge.clients import consumer, headers_of
from stream.errors import PoisonError

TOPIC = "test.odd-headers"
"""A topic of its own: other tests share the broker and read the declared ones."""


class _NotUtf8(str):
    """A header name whose bytes on the wire are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


COUNT = 100
"""Enough for the interpreter to have warmed up: it then calls the client in another way."""


@pytest.mark.broker
def test_a_header_name_that_is_not_utf8_refuses_its_record(settings: Settings) -> None:
    """From a real broker such records arrive without headers, and so are no version 1."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(20)
    sender = KafkaProducer(bootstrap_servers=settings.bootstrap)
    headers = [("schema_version", b"1"), (_NotUtf8("name"), b"\xff")]
    for _ in range(COUNT):
        sender.send(TOPIC, application_bytes(), TOKEN.encode(), headers, partition=0)
    sender.flush(15)
    sender.close()
    reader = consumer(settings, settings.group_id)
    reader.assign([TopicPartition(TOPIC, 0, 0)])
    messages = reader.consume(COUNT, 20.0)
    found = [headers_of(message) for message in messages]
    reader.close()
    assert found == [[]] * COUNT
    app = decode_application(messages[0].value() or b"")
    with pytest.raises(PoisonError, match="header schema_version: absent"):
        check_envelope(app, messages[0].key(), found[0])
