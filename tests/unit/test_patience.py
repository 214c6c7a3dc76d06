"""A process that starts while no broker answers waits for one, and for nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException

from stream.config import load_settings
from stream.edge import patience
from stream.edge.clients import unanswered
from stream.edge.patience import Patience
from stream.errors import BrokerAwayError, BrokerError
from stream.obs.health import HealthFile, read_health


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Not set; and nobody waits a second between two questions."""
    monkeypatch.setattr(patience, "RETRY_SECONDS", 0.001)
    return threading.Event()


def _patience(folder: Path, stop: threading.Event) -> Patience:
    return Patience(stop, HealthFile(folder, "worker-0", 1), structlog.get_logger())


def test_it_asks_until_a_broker_answers(tmp_path: Path, stop: threading.Event) -> None:
    """An outage longer than five starts would be the engine's end if each of them ended."""
    answers: Iterator[Exception | str] = iter(
        [*(BrokerAwayError("no answer", fix="wait") for _ in range(20)), "here"]
    )

    def question() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with structlog.testing.capture_logs() as lines:
        assert _patience(tmp_path, stop).ask(question) == "here"
    assert [line["event"] for line in lines] == ["broker_away"] * 20
    (said,) = read_health(tmp_path)
    assert (said.state, said.ready, said.detail) == ("starting", False, "waiting for the broker")


def test_it_ends_when_told_to(tmp_path: Path, stop: threading.Event) -> None:
    """SIGTERM while the broker is away is obeyed."""

    def question() -> str:
        stop.set()
        raise BrokerAwayError("no answer", fix="wait")

    assert _patience(tmp_path, stop).ask(question) is None


def test_what_no_waiting_mends_is_raised(tmp_path: Path, stop: threading.Event) -> None:
    """A topic that is missing, or another partition count, ends the process with its message."""

    def question() -> str:
        raise BrokerError("no topic loan.applications", fix="run: tenminute topics apply")

    with pytest.raises(BrokerError, match=r"no topic loan\.applications"):
        _patience(tmp_path, stop).ask(question)


@pytest.mark.parametrize(
    ("code", "waits"),
    [
        (KafkaError._ALL_BROKERS_DOWN, True),
        (KafkaError._TRANSPORT, True),
        (KafkaError.NOT_LEADER_FOR_PARTITION, True),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, False),
        (KafkaError._AUTHENTICATION, False),
        (KafkaError._SSL, False),
    ],
)
def test_only_a_broker_that_is_away_is_waited_for(code: int, waits: bool) -> None:
    """A wrong password or a missing right is told at once; no waiting mends it."""
    error = unanswered(load_settings(), KafkaException(KafkaError(code)))
    assert isinstance(error, BrokerAwayError) is waits
