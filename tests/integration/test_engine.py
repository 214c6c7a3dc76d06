"""The engine on a real Kafka: exactly one decision, whatever happens to the worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from engine_runs import (
    READY_SECONDS,
    await_caught_up,
    await_decided,
    cases,
    engine_settings,
    load_tables,
    pid_of,
    publish,
    running,
)

from stream.broker import EmbeddedBroker
from stream.config import Settings, as_environment
from stream.demo.parts import await_ready, counter, get
from stream.demo.reconcile import end_offsets, reconcile
from stream.domain.topics import APPLICATIONS, AUDIT, DECISIONS
from stream.edge.clients import consumer, transactional_producer
from stream.edge.offsets import bounds_of, committed_of
from stream.limits import LEAVE_SECONDS_MAX
from stream.obs.health import read_health
from stream.ports import Place

pytestmark = pytest.mark.broker


def test_each_application_is_decided_once_across_kills_of_the_worker(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """Worker killed again and again at work: none lost, none doubled."""
    run, people = cases(600)
    settings = engine_settings(broker.bootstrap, tmp_path / "engine", run)
    since = end_offsets(broker.bootstrap)
    load_tables(settings, run, people)
    with running(settings, tmp_path / "logs") as parts:
        undecided = []
        for third in range(3):
            before = _read_up_to(settings)
            publish(settings, people[third * 200 : (third + 1) * 200])
            _await_beyond(settings, before)
            os.kill(pid_of(settings, "worker-0"), signal.SIGKILL)
            undecided.append(before + 200 - _read_up_to(settings))
            time.sleep(0.3)
            await_ready(settings, parts, READY_SECONDS)
        await_decided(broker.bootstrap, since, parts, len(people))
    found = reconcile(broker.bootstrap, since)
    assert (found.received, found.decided, found.decisions_doubled) == (600, 600, 0)
    assert found.decisions_committed == 600
    # It was killed at work: it had decided some of what it was given, and not yet all.
    assert any(0 < left < 200 for left in undecided)


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
    with running(settings, tmp_path / "logs") as parts:
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
        with running(settings, tmp_path / "logs") as parts:
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
    with running(settings, tmp_path / "logs") as parts:
        publish(settings, people)
        await_caught_up(settings, parts)
        held = counter(get(settings, "/metrics")[1], "tenminute_partitions_assigned")
    found = reconcile(broker.bootstrap, since)
    assert held == 6
    assert (found.received, found.decided, found.decisions_doubled) == (300, 300, 0)


def test_sigterm_commits_the_batch_under_way_and_exits_zero_in_time(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """SIGTERM under load: what was written is committed, exit 0 in time, nothing left open."""
    run, people = cases(1_000)
    settings = engine_settings(broker.bootstrap, tmp_path / "engine", run)
    since = end_offsets(broker.bootstrap)
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
        first = _read_up_to(settings)
        publish(settings, people)
        _await_beyond(settings, first)
        children = [health.pid for health in read_health(settings.health_dir)]
        began = time.monotonic()
        engine.terminate()
        assert engine.wait(LEAVE_SECONDS_MAX * 2) == 0
    assert time.monotonic() - began < LEAVE_SECONDS_MAX
    found = reconcile(broker.bootstrap, since)
    assert found.decisions_uncommitted == found.decisions_committed == found.decided
    # Under load: it did not just end because it had nothing more to do.
    assert 0 < found.decided < len(people)
    assert found.decided == _read_up_to(settings) - first
    assert not _left_open(settings)
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def _read_up_to(settings: Settings) -> int:
    """Sum of the offsets the engine has committed for applications."""
    asker = consumer(settings, settings.group_id)
    places = [Place(APPLICATIONS, partition) for partition in range(settings.partitions)]
    try:
        return sum(offset or 0 for offset in committed_of(asker, places, 15).values())
    finally:
        asker.close()


def _await_beyond(settings: Settings, offsets: int) -> None:
    """Wait until the engine has committed more than so many."""
    asker = consumer(settings, settings.group_id)
    places = [Place(APPLICATIONS, partition) for partition in range(settings.partitions)]
    deadline = time.monotonic() + READY_SECONDS
    try:
        while sum(offset or 0 for offset in committed_of(asker, places, 15).values()) <= offsets:
            assert time.monotonic() < deadline
    finally:
        asker.close()


def _left_open(settings: Settings) -> list[Place]:
    """Partitions whose stable end lies before their end: a transaction is open on them."""
    stable = consumer(settings, settings.group_id)
    whole = consumer(settings, settings.group_id, **{"isolation.level": "read_uncommitted"})
    places = [Place(t, p) for t in (DECISIONS, AUDIT) for p in range(settings.partitions)]
    try:
        return [p for p in places if bounds_of(stable, p, 15)[1] < bounds_of(whole, p, 15)[1]]
    finally:
        stable.close()
        whole.close()
