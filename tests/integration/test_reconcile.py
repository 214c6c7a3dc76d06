"""Counting again from the topics of a real broker."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from loan_records import AT, application_of, decision_of, outcome_of, token

from stream.broker import EmbeddedBroker
from stream.codec.headers import cloud_event
from stream.config import Settings
from stream.demo.reconcile import TOPICS, Reconciliation, end_offsets, reconcile
from stream.domain.decision import Outcome
from stream.edge.clients import producer, transactional_producer

pytestmark = pytest.mark.broker
HEADERS = cloud_event("test", "/test", "1", AT)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("reconcile")
    with EmbeddedBroker(folder) as broker:
        settings = Settings(bootstrap=broker.bootstrap, state_dir=folder / "state")
        admin = AdminClient({"bootstrap.servers": settings.bootstrap})
        for made in admin.create_topics([NewTopic(name, 6, 1) for name in TOPICS]).values():
            made.result(60)
        yield settings


def test_each_kind_of_record_is_counted_once_and_the_sum_can_fail(settings: Settings) -> None:
    """Duplicates are found by content, aborted decisions set apart, earlier records left out."""
    apply_for(settings, 1)
    decide(settings, 1, Outcome.APPROVE)
    pay(settings, 1)
    since = end_offsets(settings.bootstrap)
    for number in (1, 2, 2, 3):
        apply_for(settings, number)
    apply_for(settings, 2, term_months=24)
    send(settings, "loan.applications", 4, b"not json")
    for reason in ("conflict", "unreadable"):
        dead = [*HEADERS, ("x-error-reason", reason.encode())]
        send(settings, "loan.applications.dlq", 4, b"", dead)
    decide(settings, 2, Outcome.APPROVE)
    decide(settings, 9, Outcome.APPROVE, commit=False)
    pay(settings, 2)
    one_is_missing = Reconciliation(
        received=6, decided=1, decisions_doubled=0, dead_letters={"conflict": 1, "unreadable": 1},
        duplicates=2, approved=1, paid=1, paid_doubled=0, paid_unapproved=0,
        decisions_committed=1, decisions_uncommitted=2,
    )  # fmt: skip
    assert reconcile(settings.bootstrap, since) == one_is_missing
    assert not one_is_missing.adds_up
    decide(settings, 3, Outcome.REFER)
    assert reconcile(settings.bootstrap, since).adds_up
    pay(settings, 3)
    assert reconcile(settings.bootstrap, since).paid_unapproved == 1


def send(
    settings: Settings,
    topic: str,
    number: int,
    value: bytes,
    headers: list[tuple[str, bytes]] | None = None,
) -> None:
    client = producer(settings)
    client.produce(topic, value, token(number).encode(), headers=headers or HEADERS)
    assert client.flush(60) == 0


def apply_for(settings: Settings, number: int, term_months: int = 12) -> None:
    application = msgspec.structs.replace(application_of(number), term_months=term_months)
    send(settings, "loan.applications", number, msgspec.json.encode(application))


def pay(settings: Settings, number: int) -> None:
    send(
        settings, "loan.outcomes", number, msgspec.json.encode(outcome_of(decision_of(number), AT))
    )


def decide(settings: Settings, number: int, outcome: Outcome, *, commit: bool = True) -> None:
    client = transactional_producer(settings, "test-reconcile")
    client.init_transactions(60)
    client.begin_transaction()
    value = msgspec.json.encode(decision_of(number, outcome))
    client.produce("disbursement.decisions", value, token(number).encode())
    client.flush(60)
    if commit:
        client.commit_transaction(60)
    else:
        client.abort_transaction(60)
