"""What nobody may do to a running engine, done: it stops and says so, and guesses nothing."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions
from engine_runs import READY_SECONDS, cases, engine_settings, load_tables, pid_of, publish, running
from engine_runs import await_caught_up as caught_up

from stream.broker import EmbeddedBroker
from stream.config import Settings
from stream.domain.topics import APPLICATIONS
from stream.ops import topics

pytestmark = pytest.mark.broker
PARTITIONS = 2


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A broker whose topics nobody needs afterwards."""
    with EmbeddedBroker(tmp_path_factory.mktemp("undermined")) as broker:
        topics.apply(broker.bootstrap, partitions=PARTITIONS, replication=1)
        yield broker


@contextmanager
def engine(own_broker: EmbeddedBroker, folder: Path) -> Iterator[Settings]:
    """An engine that has decided something."""
    run, people = cases(20)
    settings = engine_settings(own_broker.bootstrap, folder / "engine", run)
    settings = settings.model_copy(update={"partitions": PARTITIONS})
    load_tables(settings, run, people)
    with running(settings, folder / "logs") as parts:
        publish(settings, people)
        caught_up(settings, parts)
        yield settings


def await_said(folder: Path, words: str) -> None:
    """Wait until the engine's log has the words."""
    deadline = time.monotonic() + READY_SECONDS
    while words not in (folder / "logs" / "engine.log").read_text():
        assert time.monotonic() < deadline, f"not said in time: {words}"
        time.sleep(0.2)


def test_a_group_that_is_deleted_and_a_raised_partition_count_stop_a_running_engine(
    own_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    """The broker deletes no group that has members; once they are gone, nobody guesses."""
    admin = AdminClient({"bootstrap.servers": own_broker.bootstrap})
    with engine(own_broker, tmp_path / "group") as settings:
        worker = pid_of(settings, "worker-0")
        os.kill(worker, signal.SIGSTOP)
        try:
            delete_group(admin, settings.group_id)
        finally:
            os.kill(worker, signal.SIGCONT)
        await_said(tmp_path / "group", "no committed offset, yet")
    with engine(own_broker, tmp_path / "count"):
        more = NewPartitions(APPLICATIONS, PARTITIONS + 1)
        admin.create_partitions([more])[APPLICATIONS].result(30)
        await_said(tmp_path / "count", f"declared are {PARTITIONS}")


def delete_group(admin: AdminClient, group: str) -> None:
    """Refused while a member is known, so again until its session has ended."""
    refused, deadline = 0, time.monotonic() + READY_SECONDS
    while True:
        try:
            admin.delete_consumer_groups([group])[group].result(30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NON_EMPTY_GROUP or time.monotonic() > deadline:
                raise
            refused += 1
            time.sleep(0.3)
        else:
            break
    assert refused > 0
