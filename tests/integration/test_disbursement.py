"""The conformance kit against the real broker: every approval is paid once, aborted ones never."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from kafka import KafkaProducer

from stream.codec.keys import partition_of
from stream.config import Settings
from stream.disbursement.kit import KitSettings, Totals, run_kit
from stream.disbursement.ledger import Payment, PaymentLedger
from stream.disbursement.order import Order, decode_order
from stream.domain.outcome import LoanOutcome, OutcomeEvent, outcome_of
from stream.edge.clients import producer, transactional_producer

pytestmark = pytest.mark.broker

EXAMPLE = Path("schemas/examples/valid/disbursement.decisions.approve.json")
PARTITIONS = 3
WAIT_SECONDS_MAX = 60.0


@dataclass(frozen=True)
class Bench:
    """Topics and a ledger of one test's own."""

    kit: KitSettings
    settings: Settings


@pytest.fixture
def bench(broker: Any, tmp_path: Path) -> Bench:
    name = uuid4().hex[:8]
    kit = KitSettings(
        bootstrap=broker.bootstrap,
        state_dir=tmp_path,
        group_id=f"disbursement-{name}",
        decisions_topic=f"decisions-{name}",
        outcomes_topic=f"outcomes-{name}",
    )
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    topics = [NewTopic(topic, PARTITIONS, 1) for topic in (kit.decisions_topic, kit.outcomes_topic)]
    for created in admin.create_topics(topics).values():
        created.result(30)
    return Bench(kit, Settings(bootstrap=broker.bootstrap))


def document(number: int, **changes: Any) -> dict[str, Any]:
    """An approval of one million fen as a document, with `changes` laid over it."""
    own = {
        "decision_id": f"d_{number:032x}",
        "application_id": f"application-{number:06d}",
        "applicant_token": f"a1_{number:032x}",
        "approved_amount_fen": 1_000_000,
        "offer_expires_at": None,
    }
    return {**json.loads(EXAMPLE.read_bytes()), **own, **changes}


def decision(number: int, **changes: Any) -> Order:
    """The same as the kit reads it."""
    return decode_order(json.dumps(document(number, **changes)).encode())


def send(client: Any, topic: str, documents: list[dict[str, Any]], headers: Any = ()) -> None:
    for each in documents:
        value = json.dumps(each).encode()
        client.produce(topic, value, each["applicant_token"].encode(), headers=[*headers])
    client.flush(10)


def pay_until(bench: Bench, done: Callable[[Totals], bool]) -> Totals:
    """Run the kit until its totals are as wanted, or fail after a minute."""
    stop, seen = Event(), [Totals()]

    def progress(totals: Totals) -> None:
        seen[0] = totals
        if done(totals):
            stop.set()

    thread = Thread(target=run_kit, args=(bench.kit, stop, progress))
    thread.start()
    thread.join(WAIT_SECONDS_MAX)
    stop.set()
    thread.join(10)
    assert done(seen[0]), seen[0]
    return seen[0]


def outcomes(bench: Bench) -> list[tuple[int, LoanOutcome]]:
    """Every outcome published so far, with its partition."""
    consumer = Consumer({"bootstrap.servers": bench.settings.bootstrap, "group.id": "reader"})
    found: list[tuple[int, LoanOutcome]] = []
    for partition in range(PARTITIONS):
        place = TopicPartition(bench.kit.outcomes_topic, partition, 0)
        _low, count = consumer.get_watermark_offsets(place, 10)
        consumer.assign([place])
        for _ in range(count):
            message = consumer.poll(10)
            assert message is not None
            assert message.error() is None
            found.append((partition, msgspec.json.decode(message.value(), type=LoanOutcome)))
    consumer.close()
    return found


def test_a_repeated_decision_is_paid_once(bench: Bench) -> None:
    """Ten approvals sent twice move money ten times; referrals move none."""
    approvals = [document(number) for number in range(10)]
    referrals = [document(number, outcome="refer") for number in range(10, 13)]
    send(producer(bench.settings), bench.kit.decisions_topic, approvals + referrals + approvals)
    totals = pay_until(bench, lambda totals: totals.decisions == 23)
    assert totals == Totals(decisions=23, approvals=20, paid=10, paid_fen=10_000_000, repeats=10)
    published = outcomes(bench)
    assert sorted(each["decision_id"] for each in approvals) == sorted(
        outcome.decision_id for _, outcome in published
    )
    for partition, outcome in published:
        assert outcome.event is OutcomeEvent.DISBURSED
        assert outcome.amount_fen == 1_000_000
        assert partition == partition_of(outcome.applicant_token.encode(), PARTITIONS)


def test_a_restart_pays_nothing_again(bench: Bench) -> None:
    """A second process of another group reads everything again and pays only what is new."""
    client = producer(bench.settings)
    send(client, bench.kit.decisions_topic, [document(number) for number in range(5)])
    pay_until(bench, lambda totals: totals.paid == 5)
    send(client, bench.kit.decisions_topic, [document(5)])
    again = Bench(other_group(bench.kit, "again"), bench.settings)
    totals = pay_until(again, lambda totals: totals.decisions == 6)
    assert totals.paid == 1
    assert totals.repeats == 5
    assert len(outcomes(bench)) == 6


def other_group(kit: KitSettings, suffix: str) -> KitSettings:
    return replace(kit, group_id=f"{kit.group_id}-{suffix}")


def test_an_aborted_decision_is_never_paid(bench: Bench) -> None:
    """What the engine's transaction took back was never a decision."""
    client = transactional_producer(bench.settings, f"engine-{uuid4().hex[:8]}")
    client.init_transactions(30)
    client.begin_transaction()
    send(client, bench.kit.decisions_topic, [document(number) for number in range(4)])
    client.abort_transaction(30)
    client.begin_transaction()
    send(client, bench.kit.decisions_topic, [document(9)])
    client.commit_transaction(30)
    totals = pay_until(bench, lambda totals: totals.paid == 1)
    assert totals.decisions == 1
    assert [decision(9).decision_id] == [outcome.decision_id for _, outcome in outcomes(bench)]


def test_what_is_not_a_plain_approval_is_set_aside(bench: Bench) -> None:
    """An ended offer and an unknown outcome are not paid; an unknown field stops nothing."""
    ended = document(1, offer_expires_at="2026-01-01T00:00:00Z")
    unknown = document(2, outcome="approve_in_part")
    odd = document(3, invented_in_2027={"a": [1]}, stage=7)
    send(producer(bench.settings), bench.kit.decisions_topic, [ended, unknown, odd])
    totals = pay_until(bench, lambda totals: totals.decisions == 3)
    expected = Totals(
        decisions=3, approvals=2, paid=1, paid_fen=1_000_000, repeats=0, expired=1, unknown=1
    )
    assert expected == totals
    assert [decision(3).decision_id] == [outcome.decision_id for _, outcome in outcomes(bench)]


def test_a_loan_is_paid_once_though_decided_twice(bench: Bench) -> None:
    """A second-stage approval of a paid application is no second loan; a stranger's is one."""
    first, second = document(1), {**document(1), "decision_id": f"d_{99:032x}", "stage": 2}
    stranger = {**document(2), "application_id": first["application_id"]}
    send(producer(bench.settings), bench.kit.decisions_topic, [first, second, stranger])
    totals = pay_until(bench, lambda totals: totals.decisions == 3)
    assert (totals.paid, totals.repeats) == (2, 1)


class _NotUtf8(str):
    """A header name whose bytes on the wire are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"


def test_a_header_nobody_can_read_stops_no_payment(bench: Bench) -> None:
    """A name that is not UTF-8 and an empty one are passed over."""
    sender = KafkaProducer(bootstrap_servers=bench.kit.bootstrap)
    headers = [(_NotUtf8("name"), b"\xff"), ("", b"")]
    key, value = decision(1).applicant_token.encode(), json.dumps(document(1)).encode()
    sender.send(bench.kit.decisions_topic, value, key, headers).get(15)
    sender.close()
    assert pay_until(bench, lambda totals: totals.decisions == 1).paid == 1


def test_a_crash_before_the_announcement_is_made_good(bench: Bench) -> None:
    """A payment on disk whose outcome was not published is announced at the next start."""
    paid = outcome_of(decision(1), OutcomeEvent.DISBURSED, 1_764_000_000_000)
    with PaymentLedger(bench.kit.ledger_file) as ledger:
        key = paid.applicant_token.encode()
        ledger.pay([Payment(paid.decision_id, paid.amount_fen, key, msgspec.json.encode(paid))])
    pay_until(bench, lambda _totals: True)
    assert [paid] == [outcome for _, outcome in outcomes(bench)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process(broker: Any, tmp_path: Path, number: int) -> None:
    """The process answers SIGTERM and Ctrl-C with its totals and exit code 0."""
    code = "import typer; from stream.disbursement.cli import disburse; typer.run(disburse)"
    args = ["--bootstrap", broker.bootstrap, "--state-dir", str(tmp_path), "--json"]
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    known = admin.list_topics(timeout=10).topics
    wanted = [topic for topic in ("disbursement.decisions", "loan.outcomes") if topic not in known]
    topics = [NewTopic(topic, PARTITIONS, 1) for topic in wanted]
    for created in (admin.create_topics(topics) if topics else {}).values():
        created.result(30)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *args, "--group", f"g-{tmp_path.name}"],
        stdout=subprocess.PIPE,
        env=os.environ,
    )
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not (tmp_path / "payments.sqlite").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(number)
    output, _ = process.communicate(timeout=WAIT_SECONDS_MAX)
    assert process.returncode == 0
    assert b'"paid":' in output
