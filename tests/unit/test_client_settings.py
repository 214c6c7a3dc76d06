"""The engine's clients are set up as the page of guarantees says they are."""

from __future__ import annotations

from typing import Any

import pytest

from stream.config import load_settings
from stream.edge import clients
from stream.edge.inbox import KafkaInbox
from stream.limits import LEAVE_SECONDS_MAX


def test_what_commits_is_idempotent_acknowledged_by_all_and_has_one_request_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And its transaction is ended by the broker after 15 s, should it die."""
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(clients, "Producer", made.append)
    clients.transactional_producer(load_settings(), "worker-0-0")
    expected = {
        "acks": "all",
        "enable.idempotence": True,
        "max.in.flight.requests.per.connection": 1,
        "transaction.timeout.ms": 15_000,
        "transactional.id": "worker-0-0",
    }
    assert expected.items() <= made[0].items()


def test_what_reads_commits_nothing_by_itself_and_never_guesses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And keeps its place through a minute without a poll, not through more."""
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(clients, "Consumer", made.append)
    KafkaInbox(load_settings(), "worker-0")
    expected = {
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "group.instance.id": "worker-0",
        "session.timeout.ms": 10_000,
        "max.poll.interval.ms": 60_000,
    }
    assert expected.items() <= made[0].items()
    # Whoever gives partitions up in time does so before the group would let it go.
    assert made[0]["max.poll.interval.ms"] > LEAVE_SECONDS_MAX * 1000
