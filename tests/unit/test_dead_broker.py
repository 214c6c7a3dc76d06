"""Verbs against an address where no broker answers: one line, what to do, exit code 3."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stream.broker.place import free_port
from stream.edge.clients import require_topic
from stream.errors import BrokerError, Exit
from stream.ops.publish import publish
from stream.ops.tail import tail
from stream.ops.tail_rows import Stream

EXAMPLE = Path("schemas/examples/valid/loan.applications.farmer.json")
SECONDS_MAX = 60.0


def dead() -> str:
    """An address nobody listens on."""
    return f"127.0.0.1:{free_port()}"


def test_a_dead_broker_is_named_with_its_fix_and_soon() -> None:
    """The probe ends by itself and says where it looked and what to do."""
    began, address = time.monotonic(), dead()
    with pytest.raises(BrokerError) as caught:
        require_topic(address, "loan.applications")
    assert address in caught.value.message
    assert "tenminute doctor" in caught.value.fix
    assert caught.value.exit_code is Exit.BROKER
    assert time.monotonic() - began < SECONDS_MAX


def test_publish_and_tail_ask_before_they_wait(tmp_path: Path) -> None:
    """Neither hangs on a broker that is not there."""
    file = tmp_path / "applications.jsonl"
    file.write_text(" ".join(EXAMPLE.read_text().split()) + "\n")
    with pytest.raises(BrokerError, match="no Kafka broker answers"):
        publish(file, bootstrap=dead())
    with pytest.raises(BrokerError, match="no Kafka broker answers"):
        tail(Stream.DECISIONS, bootstrap=dead())
