"""The engine on a real Kafka: exactly one decision, whatever happens to the worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from msgspec import json

from stream.broker import EmbeddedBroker
from stream.broker.place import free_port
from stream.codec.headers import cloud_event
from stream.codec.keys import PARTITIONER
from stream.config import Settings, as_environment, load_settings
from stream.demo.parts import Parts, await_ready, counter, get
from stream.demo.reconcile import Offsets, end_offsets, read_decisions, reconcile
from stream.demo.synthetic import synthetic_cases
from stream.demo.tables import bureau_rows, publish_bureau, publish_whitelist, whitelist_rows
from stream.demo.terms import LoanCase, Run
from stream.domain.instant import from_ms
from stream.edge.clients import consumer, transactional_producer
from stream.obs.health import read_health

APPLICATIONS = "loan.applications"
pytestmark = pytest.mark.broker
READY_SECONDS = 60.0
ANSWER_SECONDS = 60.0


def cases(count: int) -> tuple[Run, list[LoanCase]]:
    """Made-up farmers and merchants of a run with a name of its own."""
    now_ms = time.time_ns() // 1_000_000
    run = Run(now_ms=now_ms, name=f"t{now_ms:x}")
    return run, synthetic_cases(run, count)


def engine_settings(bootstrap: str, folder: Path, run: Run, workers: int = 1) -> Settings:
    """Settings of one engine with a group, a store and a port of its own."""
    return load_settings(
        bootstrap=bootstrap,
        state_dir=folder,
        group_id=f"engine-{run.name}",
        metrics_port=free_port(),
        batch_records=20,
        workers=workers,
    )


def load_tables(settings: Settings, run: Run, people: list[LoanCase]) -> None:
    """Whitelist and bureau features through their topics; the engine starts at today's end."""
    pass_over_earlier(settings)
    stop = Event()
    publish_whitelist(settings, whitelist_rows(people, run, 0), run, lambda _: None, stop)
    publish_bureau(settings, bureau_rows(people, run, 0), run, lambda _: None, stop)


def pass_over_earlier(settings: Settings) -> None:
    """Commit the ends of the applications, so that other tests' records are not decided here."""
    group = consumer(settings, settings.group_id)
    numbers = group.list_topics(APPLICATIONS, timeout=10).topics[APPLICATIONS].partitions
    places = [TopicPartition(APPLICATIONS, number) for number in numbers]
    ends = [
        TopicPartition(APPLICATIONS, p.partition, group.get_watermark_offsets(p, timeout=10)[1])
        for p in places
    ]
    group.commit(offsets=ends, asynchronous=False)
    group.close()


def publish(settings: Settings, people: list[LoanCase], at_ms: int | None = None) -> None:
    """One application each, submitted now or at `at_ms`."""
    client = Producer({"bootstrap.servers": settings.bootstrap, "partitioner": PARTITIONER})
    at = from_ms(at_ms or time.time_ns() // 1_000_000)
    for person in people:
        application = json.decode(json.encode(person.application))
        application["submitted_at"] = at
        application.pop("decide_by", None)
        client.produce(
            APPLICATIONS,
            key=application["applicant_token"],
            value=json.encode(application),
            headers=[*cloud_event("loan.application.v1", "/test", at, at)],
        )
    assert client.flush(30) == 0


def await_caught_up(settings: Settings, parts: Parts) -> None:
    """Wait until the engine has committed every application there is."""
    looker = consumer(settings, settings.group_id)
    numbers = looker.list_topics(APPLICATIONS, timeout=10).topics[APPLICATIONS].partitions
    places = [TopicPartition(APPLICATIONS, number) for number in numbers]
    ends = {p.partition: looker.get_watermark_offsets(p, timeout=10)[1] for p in places}
    deadline = time.monotonic() + ANSWER_SECONDS
    try:
        while any(
            place.offset < ends[place.partition] and ends[place.partition] > 0
            for place in looker.committed(places, timeout=10)
        ):
            parts.check()
            assert time.monotonic() < deadline, "the engine has not caught up in time"
            time.sleep(0.2)
    finally:
        looker.close()


def pid_of(settings: Settings, process: str) -> int:
    """Process id of one of the engine's processes."""
    return next(h.pid for h in read_health(settings.health_dir) if h.process == process)


def await_decided(bootstrap: str, since: Offsets, parts: Parts, count: int) -> None:
    """Wait until `count` applications have a committed decision."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while len({d.application_id for d in read_decisions(bootstrap, since)}) < count:
        parts.check()
        assert time.monotonic() < deadline, "not all applications were decided in time"
        time.sleep(0.3)


def test_each_application_is_decided_once_across_kills_of_the_worker(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """Worker killed again and again at work: none lost, none doubled."""
    run, people = cases(600)
    settings = engine_settings(broker.bootstrap, tmp_path / "engine", run)
    since = end_offsets(broker.bootstrap)
    load_tables(settings, run, people)
    with Parts(settings, tmp_path / "logs") as parts:
        parts.start("engine")
        await_ready(settings, parts, READY_SECONDS)
        for third in range(3):
            publish(settings, people[third * 200 : (third + 1) * 200])
            time.sleep(0.15)
            os.kill(pid_of(settings, "worker-0"), signal.SIGKILL)
            time.sleep(0.3)
            await_ready(settings, parts, READY_SECONDS)
        await_decided(broker.bootstrap, since, parts, len(people))
    found = reconcile(broker.bootstrap, since)
    assert (found.received, found.decided, found.decisions_doubled) == (600, 600, 0)
    assert found.decisions_committed == 600
    # What a killed worker had written is on the topic, and only uncommitted readers see it.
    assert found.decisions_uncommitted >= 600


def test_a_decision_written_by_a_dead_transaction_is_never_read_as_committed(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """A worker stopped between produce and commit leaves records only read_uncommitted sees."""
    run, people = cases(5)
    settings = engine_settings(broker.bootstrap, tmp_path / "engine", run)
    since = end_offsets(broker.bootstrap)
    load_tables(settings, run, people)
    dead = transactional_producer(settings, f"{settings.group_id}-{settings.instance}-0")
    dead.init_transactions(30)
    dead.begin_transaction()
    dead.produce("disbursement.decisions", b"never committed", key=b"k", partition=0)
    dead.flush(30)
    publish(settings, people)
    with Parts(settings, tmp_path / "logs") as parts:
        parts.start("engine")
        await_ready(settings, parts, READY_SECONDS)
        await_decided(broker.bootstrap, since, parts, len(people))
    found = reconcile(broker.bootstrap, since)
    assert (found.decided, found.decisions_committed) == (5, 5)
    assert found.decisions_uncommitted == 6
    with pytest.raises(KafkaException):
        dead.commit_transaction(10)


def test_the_same_application_is_answered_once_also_after_a_restart(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """The ledger comes back from the decisions: a repeat is counted, other content is buried."""
    run, people = cases(20)
    settings = engine_settings(broker.bootstrap, tmp_path / "engine", run)
    since = end_offsets(broker.bootstrap)
    load_tables(settings, run, people)
    at_ms = time.time_ns() // 1_000_000
    for attempt in range(2):
        with Parts(settings, tmp_path / "logs") as parts:
            parts.start("engine")
            await_ready(settings, parts, READY_SECONDS)
            publish(settings, people, at_ms)
            if attempt == 1:
                publish(settings, people[:3], at_ms + 1)
            await_caught_up(settings, parts)
    found = reconcile(broker.bootstrap, since)
    assert (found.decided, found.decisions_doubled, found.duplicates) == (20, 0, 20)
    assert found.dead_letters == {"conflict": 3}


def test_two_workers_share_the_partitions_and_decide_once(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """Two workers under one supervisor: every application has one decision."""
    run, people = cases(300)
    settings = engine_settings(broker.bootstrap, tmp_path / "engine", run, workers=2)
    since = end_offsets(broker.bootstrap)
    load_tables(settings, run, people)
    with Parts(settings, tmp_path / "logs") as parts:
        parts.start("engine")
        await_ready(settings, parts, READY_SECONDS)
        publish(settings, people)
        await_caught_up(settings, parts)
        held = counter(get(settings, "/metrics")[1], "tenminute_partitions_assigned")
    found = reconcile(broker.bootstrap, since)
    assert held == 6
    assert (found.received, found.decided, found.decisions_doubled) == (300, 300, 0)


def test_sigterm_drains_and_exits_zero_within_ten_seconds(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """SIGTERM under load: exit code 0 in time, no process left, no transaction left open."""
    run, people = cases(200)
    settings = engine_settings(broker.bootstrap, tmp_path / "engine", run)
    load_tables(settings, run, people)
    environment = {**os.environ, **as_environment(settings)}
    with (tmp_path / "engine.log").open("wb") as log:
        engine = subprocess.Popen(
            [sys.executable, "-m", "stream", "engine"], env=environment, stderr=log
        )
        deadline = time.monotonic() + READY_SECONDS
        while get(settings, "/readyz")[0] != 200:
            assert engine.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        publish(settings, people)
        children = [health.pid for health in read_health(settings.health_dir)]
        began = time.monotonic()
        engine.terminate()
        assert engine.wait(15) == 0
    assert time.monotonic() - began < 10
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
