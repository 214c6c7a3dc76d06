"""The funnel worker as a process against the real broker."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from loan_records import AT, application_of, decision_of, outcome_of, token

from stream.broker import EmbeddedBroker
from stream.codec.headers import cloud_event
from stream.codec.keys import partition_of
from stream.config import Settings
from stream.domain.decision import Decision, Outcome
from stream.edge.clients import producer, transactional_producer
from stream.errors import BrokerError
from stream.loop.funnel import Counts
from stream.loop.reader import FunnelReader
from stream.loop.worker import run_loop

pytestmark = pytest.mark.broker

IN_TIME = "2026-11-24T08:10:00.000Z"
LATE = "2026-11-24T08:10:00.001Z"
TOPICS = ("loan.applications", "disbursement.decisions", "loan.outcomes", "loan.funnel")
STOP_SECONDS_MAX = 60.0
WAIT_SECONDS_MAX = 60.0
HEADERS = cloud_event("test", "/test", "1", AT)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("loop")
    with EmbeddedBroker(folder) as broker:
        yield Settings(bootstrap=broker.bootstrap, state_dir=folder / "state")


def test_the_funnel_survives_redelivery_restart_and_aborted_decisions(settings: Settings) -> None:
    """Missing topics are named, neither aborted nor stray records counted; SIGTERM within 5 s."""
    with pytest.raises(BrokerError, match=r"loan.applications.*tenminute topics apply"):
        run_loop(settings)
    create_topics(settings)
    publish(settings, number=1, paid_at=IN_TIME)
    publish(settings, number=2, paid_at=LATE)
    publish(settings, number=3, outcome=Outcome.REFER)
    send(settings, "loan.applications", 4, b'{"not": "an application"}')
    send_stray(settings, 1)
    with transaction(settings, commit=False) as send_decision:
        send_decision(decision_of(5))
    with FunnelReader(settings) as reader:
        with worker(settings):
            await_totals(reader, Counts(3, 3, 2, 2, 1))
        publish(settings, number=1, paid_at=IN_TIME)
        publish(settings, number=6, paid_at=IN_TIME)
        with worker(settings):
            await_totals(reader, Counts(4, 4, 3, 3, 2))


def create_topics(settings: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    wanted = [NewTopic(name, settings.partitions, 1) for name in TOPICS]
    for made in admin.create_topics(wanted).values():
        made.result(10)


@contextmanager
def worker(settings: Settings) -> Iterator[None]:
    """The loop in a process of its own, stopped by SIGTERM at the end."""
    code = (
        "import sys; from pathlib import Path; from stream.config import Settings;"
        "from stream.loop.worker import run_loop;"
        "run_loop(Settings(bootstrap=sys.argv[1], state_dir=Path(sys.argv[2])))"
    )
    log = Path(settings.state_dir).parent / "loop.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code, settings.bootstrap, str(settings.state_dir)],
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS_MAX) == 0, log.read_text()[-4000:]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def await_totals(reader: FunnelReader, expected: Counts) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    found: dict[tuple[str, str], Counts] = {}
    while time.monotonic() < deadline:
        found = reader.totals(0.5)
        if found == {("h5", "merchant"): expected}:
            return
    pytest.fail(f"expected {expected}, found {found}")


def send(settings: Settings, topic: str, number: int, value: bytes) -> None:
    client = producer(settings)
    client.produce(topic, value, token(number).encode(), headers=HEADERS)
    assert client.flush(10) == 0


def send_stray(settings: Settings, number: int) -> None:
    """An application on another partition than its key's; the engine would send it on."""
    key = token(number).encode()
    away = (partition_of(key, settings.partitions) + 1) % settings.partitions
    client, value = producer(settings), msgspec.json.encode(application_of(number))
    client.produce("loan.applications", value, key, partition=away, headers=HEADERS)
    assert client.flush(10) == 0


@contextmanager
def transaction(settings: Settings, *, commit: bool) -> Iterator[object]:
    client = transactional_producer(settings, "test-loop")
    client.init_transactions(10)
    client.begin_transaction()

    def send_decision(decision: Decision) -> None:
        key = decision.applicant_token.encode()
        client.produce("disbursement.decisions", msgspec.json.encode(decision), key)

    yield send_decision
    client.flush(10)
    if commit:
        client.commit_transaction(10)
    else:
        client.abort_transaction(10)


def publish(
    settings: Settings,
    number: int,
    outcome: Outcome = Outcome.APPROVE,
    paid_at: str | None = None,
) -> None:
    """An application, its decision and, if paid, its outcome; the outcome goes first."""
    decision = decision_of(number, outcome)
    if paid_at is not None:
        paid = msgspec.json.encode(outcome_of(decision, paid_at))
        send(settings, "loan.outcomes", number, paid)
    with transaction(settings, commit=True) as send_decision:
        send_decision(decision)
    send(settings, "loan.applications", number, msgspec.json.encode(application_of(number)))
