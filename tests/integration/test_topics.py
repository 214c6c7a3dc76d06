"""Topics by declaration against a real broker of this module's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from stream.broker import EmbeddedBroker
from stream.broker.place import free_port
from stream.domain.topics import INPUTS
from stream.errors import ConfigError
from stream.ops import topics
from stream.ops.topics import TOPICS, Change, Drift

PARTITIONS = 2
UNREACHABLE_SECONDS_MAX = 120.0
DIFF = """
import sys
from stream.errors import BrokerError
from stream.ops import topics
topics.ANSWER_MS_MAX = 2_000
try:
    topics.diff(sys.argv[1], partitions=2, replication=1)
except BrokerError as error:
    print(error)
    sys.exit(error.exit_code)
"""


class Applied(NamedTuple):
    """A broker and what the very first `apply` met and did there."""

    bootstrap: str
    before: list[Drift]
    changes: list[Change]


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Applied]:
    with EmbeddedBroker(tmp_path_factory.mktemp("topics")) as broker:
        before = topics.diff(broker.bootstrap, partitions=PARTITIONS, replication=1)
        changes = topics.apply(broker.bootstrap, partitions=PARTITIONS, replication=1)
        yield Applied(broker.bootstrap, before, changes)


@pytest.mark.broker
def test_apply_creates_every_declared_topic(applied: Applied) -> None:
    """An empty broker lacks every topic, and afterwards none."""
    names = [topic.name for topic in TOPICS]
    assert [Drift(name, "missing", "present", "absent") for name in names] == applied.before
    assert [Change(name, "created") for name in names] == applied.changes
    assert topics.diff(applied.bootstrap, partitions=PARTITIONS, replication=1) == []


@pytest.mark.broker
def test_a_second_apply_changes_nothing(applied: Applied) -> None:
    """Applying a declaration that holds already does nothing."""
    assert topics.apply(applied.bootstrap, partitions=PARTITIONS, replication=1) == []


DRIFTS = [
    ("loan.applications", "retention.ms", str(30 * 86_400_000), "3600000"),
    *((t, "message.timestamp.type", "LogAppendTime", "CreateTime") for t in INPUTS),
    ("decision.audit", "min.insync.replicas", "1", "2"),
]


@pytest.mark.broker
@pytest.mark.parametrize(("name", "key", "declared", "found"), DRIFTS)
def test_a_drifted_setting_is_shown_and_set_back(
    applied: Applied, name: str, key: str, declared: str, found: str
) -> None:
    """`diff` shows declared and found values; `apply` mends that topic and no other."""
    set_config(applied.bootstrap, name, key, found)
    expected = [Drift(name, key, declared, found)]
    assert expected == topics.diff(applied.bootstrap, partitions=PARTITIONS, replication=1)
    changes = topics.apply(applied.bootstrap, partitions=PARTITIONS, replication=1)
    assert [Change(name, "settings set back")] == changes
    assert topics.diff(applied.bootstrap, partitions=PARTITIONS, replication=1) == []


@pytest.mark.broker
def test_another_partition_count_is_refused(applied: Applied) -> None:
    """Repartitioning would break the order per person, so nothing is done and the fix is named."""
    with pytest.raises(ConfigError, match="another partition count") as caught:
        topics.apply(applied.bootstrap, partitions=PARTITIONS + 1, replication=1)
    assert "set `partitions` to what exists" in caught.value.fix
    assert topics.diff(applied.bootstrap, partitions=PARTITIONS, replication=1) == []


def test_an_unreachable_broker_is_named_with_its_fix() -> None:
    """Where nobody listens, one line names the address and the fix, and the process ends."""
    bootstrap = f"127.0.0.1:{free_port()}"
    # kafka-python leaves a thread and sockets behind when its constructor raises: a process of
    # its own keeps them out of the other tests, and shows that they do not hold up its end.
    done = subprocess.run(
        [sys.executable, "-c", DIFF, bootstrap],
        capture_output=True, text=True, timeout=UNREACHABLE_SECONDS_MAX, check=False,
    )  # fmt: skip
    fix = "check that the broker runs and `bootstrap` names it"
    assert (3, f"{bootstrap}: KafkaTimeoutError — {fix}\n") == (done.returncode, done.stdout)


def set_config(bootstrap: str, topic: str, key: str, value: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        change = {key: value}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, change)])
    finally:
        admin.close()
