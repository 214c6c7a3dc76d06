"""What a Kafka client says is a line of the log, and not twenty a second."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import pytest

from stream.config import load_settings
from stream.edge.client_log import EVERY_SECONDS, ClientLog
from stream.edge.clients import consumer, producer
from stream.edge.outlet import _Connections
from stream.obs.logs import configure_logs

Lines = Callable[[], list[dict[str, object]]]
FORM = "%s [%s] %s"
NOWHERE = "127.0.0.1:1"


@pytest.fixture
def lines(capsysbinary: pytest.CaptureFixture[bytes]) -> Lines:
    """All that was written to standard error since the last call, each line an object."""
    return lambda: [json.loads(line) for line in capsysbinary.readouterr().err.splitlines()]


def test_one_line_per_client_and_kind_in_thirty_seconds(lines: Lines) -> None:
    """The first is written at once, the next says how many were not."""
    configure_logs("worker-0")
    now = 0.0
    log = ClientLog(lambda: now)
    for number in range(600):
        log.log(logging.ERROR, FORM, "FAIL", f"rdkafka#consumer-{number}", "Connect failed")
    log.log(logging.ERROR, FORM, "FAIL", "engine-0#producer-601", "Connect failed")
    log.log(logging.ERROR, FORM, "FATAL", "rdkafka#consumer-4", "fenced")
    said = lines()
    assert [(each["client"], each["kind"], each["suppressed"]) for each in said] == [
        ("rdkafka#consumer", "FAIL", 0),
        ("engine-0#producer", "FAIL", 0),
        ("rdkafka#consumer", "FATAL", 0),
    ]
    assert {"worker-0"} == {each["process"] for each in said}
    assert {"kafka_client"} == {each["event"] for each in said}
    now = EVERY_SECONDS
    log.log(logging.ERROR, FORM, "FAIL", "rdkafka#consumer-4", "Connect failed")
    (line,) = lines()
    assert (line["suppressed"], line["text"]) == (599, "Connect failed")


@pytest.mark.parametrize("configured", [True, False])
def test_clients_without_a_broker_write_no_plain_text(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, *, configured: bool
) -> None:
    """Consumer and producer each write at most one line of a kind, in an engine and in a verb."""
    if configured:
        configure_logs("worker-0")
    monkeypatch.setattr("stream.edge.clients.CLIENT_LOG", ClientLog())
    settings = load_settings(bootstrap=NOWHERE)
    reader, writer = consumer(settings, "nobody"), producer(settings)
    reader.subscribe(["nothing"])
    for _ in range(5):
        reader.consume(1, 0.1)
        writer.poll(0.1)
    reader.close()
    said = [(each["client"], each["kind"]) for each in lines()]
    assert {"rdkafka#consumer", "rdkafka#producer"} == {client for client, _ in said}
    assert len(said) == len(set(said))


def test_a_lost_connection_is_noted_whoever_is_told() -> None:
    """A transactional producer hears of every broken connection, and tells of errors only."""
    connections = _Connections()
    connections.log(logging.INFO, FORM, "INIT", "p#producer-1", "ready")
    assert not connections.lost
    connections.log(logging.INFO, FORM, "FAIL", "p#producer-1", "idle too long")
    assert connections.lost
