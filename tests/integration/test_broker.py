"""The embedded broker: it keeps data, leaves nothing behind and says what hinders it."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stream.broker import EmbeddedBroker, jars, java, place
from stream.errors import BrokerError

pytestmark = pytest.mark.broker

TOPIC = "test.records"
GONE_SECONDS_MAX = 60.0
WAIT_SECONDS_MAX = 60.0
PARENT = """
import sys, time
from pathlib import Path
from stream.broker import EmbeddedBroker
broker = EmbeddedBroker(Path(sys.argv[1])).start()
print(broker.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A broker of this module's own, which may be restarted."""
    with EmbeddedBroker(tmp_path_factory.mktemp("own")) as running:
        admin = AdminClient({"bootstrap.servers": running.bootstrap})
        admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(30)
        yield running


def test_a_record_goes_in_and_comes_out(own: EmbeddedBroker) -> None:
    """What a client sends, another reads."""
    assert own.kind == "kafka"
    assert own.why.startswith("Apache Kafka 4.")
    send(own, b"in and out")
    assert b"in and out" in read_all(own)


def test_a_format_that_takes_too_long_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an overloaded machine the first start fails with one line, not with a traceback."""
    monkeypatch.setattr("stream.broker.embedded.FORMAT_TIMEOUT_SECONDS", 0.001)
    with pytest.raises(BrokerError, match="did not format its data folder") as caught:
        EmbeddedBroker(tmp_path).start()
    assert "overloaded" in caught.value.fix


@pytest.mark.parametrize("end", [EmbeddedBroker.stop, EmbeddedBroker.kill])
def test_data_outlives_a_restart(
    own: EmbeddedBroker, end: Callable[[EmbeddedBroker], None]
) -> None:
    """After a stop or a kill the same port answers and every acknowledged record is there."""
    send(own, f"kept over {end.__name__}".encode())
    before, bootstrap = read_all(own), own.bootstrap
    end(own)
    assert not own.running
    own.start()
    assert bootstrap == own.bootstrap
    assert before == read_all(own)


def test_a_killed_parent_leaves_no_java_behind(tmp_path: Path) -> None:
    """Killed with SIGKILL, the parent cannot clean up; the watcher does, lock included."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + GONE_SECONDS_MAX
    while time.monotonic() < deadline and (runs(pid) or (tmp_path / "broker.lock").exists()):
        time.sleep(0.05)
    assert not runs(pid)
    assert not (tmp_path / "broker.lock").exists()


def test_a_folder_holds_one_broker(own: EmbeddedBroker) -> None:
    """A second start on the same folder is refused and leaves the first alone."""
    with pytest.raises(BrokerError, match=r"another broker is running in .*choose another folder"):
        EmbeddedBroker(own.folder).start()
    assert own.running
    assert (own.folder / "broker.lock").exists()


def test_a_busy_port_is_named(tmp_path: Path) -> None:
    """The error names the port and the way round it, and no lock stays."""
    with socket.create_server(("127.0.0.1", place.free_port())) as server:
        port = server.getsockname()[1]
        with pytest.raises(BrokerError, match=f"port {port} is taken .*choose another port"):
            EmbeddedBroker(tmp_path, port=port).start()
    assert not (tmp_path / "broker.lock").exists()


def test_runs_of_one_seed_are_given_ports_of_their_own() -> None:
    """The tests are shuffled by a seed; two runs at once must not start brokers on one port."""
    found = set()
    for _ in range(5):
        random.seed(7)
        found.add(place.free_port())
    assert len(found) > 1


def test_a_missing_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Java on PATH, in JAVA_HOME or in the wheel, the error says what to install."""
    monkeypatch.setattr(java, "_candidates", lambda _environ: iter(()))
    with pytest.raises(BrokerError, match=r"needs Java 17 or newer: none found .*install a Java"):
        EmbeddedBroker(tmp_path).start()


def test_no_java_is_found_on_an_empty_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Java is looked for in the environment given and in the wheel, nowhere else."""
    monkeypatch.setattr(java.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(BrokerError, match=r"none found"):
        java.find_java({"PATH": ""})


def test_an_old_java_is_named_with_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Java too old for Kafka 4 is reported, not tried."""
    script(tmp_path / "java", """echo 'openjdk version "11.0.2"' >&2""")
    monkeypatch.setattr(java.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(BrokerError, match=r"java is version 11"):
        java.find_java({"PATH": str(tmp_path)})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 20 MB."""
    if os.geteuid() != 0:
        pytest.skip("a small disk can be mounted by root only")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_too_small_is_refused(small_disk: Path) -> None:
    """Too little room is found before anything is written."""
    with pytest.raises(BrokerError, match=r"has 0.02 GB left, the broker needs .*free some space"):
        EmbeddedBroker(small_disk / "broker").start()


@pytest.mark.parametrize("room_kb", [0, 12], ids=["from the start", "while starting"])
def test_a_disk_that_runs_full_is_named(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, room_kb: int
) -> None:
    """A disk filled by others after the check gives one line and leaves no process."""
    monkeypatch.setattr(place, "FREE_BYTES_MIN", 0)
    broker = EmbeddedBroker(small_disk / "broker")
    broker.folder.mkdir()
    free = place.shutil.disk_usage(small_disk).free
    (small_disk / "others").write_bytes(bytes(free - room_kb * 1024))
    with pytest.raises(BrokerError, match=r"the disk under .* is full .*free some space"):
        broker.start()
    assert not broker.running


def test_an_unreachable_index_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Maven's own error is cut to one line, what to do is added, and no half cache stays."""
    said = "[ERROR] Could not transfer artifact: Unknown host index.invalid"
    script(tmp_path / "bin" / "mvn", f"echo '{said}'; echo '[ERROR] more'; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    cache = tmp_path / "cache"
    with pytest.raises(BrokerError) as caught:
        EmbeddedBroker(tmp_path / "broker", cache=cache).start()
    assert said in caught.value.message
    assert "\n" not in str(caught.value)
    assert "check the network" in caught.value.fix
    assert not jars.jars_folder(cache).exists()
    assert list(cache.glob("fetch-*")) == []


def script(path: Path, body: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def runs(pid: int) -> bool:
    """Whether the process is there and not merely waiting to be reaped by its parent."""
    shown = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return shown.stdout.strip() not in ("", "Z", "Z+", "Zs", "Zl", "Zsl")


def send(broker: EmbeddedBroker, value: bytes) -> None:
    faults: list[KafkaError] = []
    client = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all"})
    client.produce(TOPIC, value, on_delivery=lambda error, _: error and faults.append(error))
    assert client.flush(30) == 0
    assert faults == []


def read_all(broker: EmbeddedBroker) -> list[bytes]:
    """Every record of the topic from its beginning to its present end."""
    client = Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    client.subscribe([TOPIC])
    values: list[bytes] = []
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    try:
        while time.monotonic() < deadline:
            record = client.poll(1.0)
            if record is None:
                continue
            error = record.error()
            if error is None:
                values.append(record.value() or b"")
            elif error.code() == KafkaError._PARTITION_EOF:
                return values
            else:
                pytest.fail(str(error))
    finally:
        client.close()
    pytest.fail("the end of the topic was not reached")
