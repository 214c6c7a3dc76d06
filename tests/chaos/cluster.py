"""Three KRaft brokers with small heaps, for what one broker cannot show.

All three are controllers, or only the first where two are to be lost: without a majority of
controllers the one left would not even learn that the others are out of sync.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from chaos.quiet import QUIET
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream.broker import embedded
from stream.broker.jars import ensure_jars
from stream.broker.java import find_java
from stream.broker.place import free_port
from stream.broker.settings import CLUSTER_ID, server_properties

NODES = 3
HEAP_MB = 320
_WATCH = Path(embedded.__file__).with_name("watch.py")
_LOG_CONFIG = Path(embedded.__file__).with_name("log4j2.xml")
_READY_SECONDS = 120.0


class Node:
    """One broker, which is controller too when it is among the voters."""

    def __init__(self, folder: Path, number: int, ports: list[int], voters: list[int]) -> None:
        self._folder, self.port = folder, ports[number]
        folder.mkdir(parents=True)
        quorum = ",".join(f"{n + 1}@127.0.0.1:{port}" for n, port in enumerate(voters))
        votes = number < len(voters)
        listeners = f"PLAINTEXT://127.0.0.1:{self.port}"
        roles = {} if votes else {"process.roles": "broker", "listeners": listeners}
        own = {
            **roles,
            "node.id": number + 1,
            "controller.quorum.voters": quorum,
            "default.replication.factor": NODES,
            "offsets.topic.replication.factor": NODES,
            "transaction.state.log.replication.factor": NODES,
            "transaction.state.log.min.isr": 2,
            "share.coordinator.state.topic.replication.factor": NODES,
            "share.coordinator.state.topic.min.isr": 2,
        }
        text = server_properties(self.port, voters[number if votes else 0], folder / "data")
        text += "".join(f"{name}={value}\n" for name, value in own.items())
        (folder / "server.properties").write_text(text)
        self._watcher: subprocess.Popen[bytes] | None = None
        self._pid = 0
        tool = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]
        done = subprocess.run(
            [*self._java(), *tool, str(folder / "server.properties")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr or done.stdout

    def _java(self) -> list[str]:
        jars = ensure_jars()
        log = f"-Dbroker.log={self._folder / 'broker.log'}"
        config = f"-Dlog4j2.configurationFile={_LOG_CONFIG}"
        return [str(find_java()), f"-Xmx{HEAP_MB}m", config, log, "-cp", f"{jars}/*"]

    def start(self) -> None:
        """Start the JVM under a watcher that outlives nobody."""
        watch = [sys.executable, "-I", "-S", str(_WATCH), str(os.getpid())]
        command = [*self._java(), "kafka.Kafka", str(self._folder / "server.properties")]
        with (self._folder / "jvm.out").open("ab") as output:
            self._watcher = subprocess.Popen(
                [*watch, str(self._folder / "lock"), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        assert self._watcher.stdout is not None
        self._pid = int(self._watcher.stdout.readline() or b"0")

    def kill(self) -> None:
        """SIGKILL: nothing is flushed."""
        os.kill(self._pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """Stop it, politely where it still runs; its data stay."""
        if self._watcher is None:
            return
        watcher, self._watcher = self._watcher, None
        assert watcher.stdin is not None
        assert watcher.stdout is not None
        watcher.stdin.close()
        watcher.wait(20)
        watcher.stdout.close()

    def answers(self) -> bool:
        """Whether it serves metadata that know all three brokers."""
        client = AdminClient({"bootstrap.servers": f"127.0.0.1:{self.port}"}, logger=QUIET)
        try:
            return len(client.list_topics(timeout=2).brokers) == NODES
        except KafkaException:
            return False


class Cluster:
    """Replication 3, two in sync needed; a context manager."""

    def __init__(self, folder: Path, controllers: int = NODES) -> None:
        ports: list[int] = []
        while len(ports) < 2 * NODES:
            port = free_port()
            if port not in ports:
                ports.append(port)
        voters = ports[NODES : NODES + controllers]
        self.nodes = [
            Node(folder / f"node-{n + 1}", n, ports[:NODES], voters) for n in range(NODES)
        ]
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in ports[:NODES])

    def __enter__(self) -> Self:
        """Start all three and wait until they know each other."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            self.await_whole(node)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop all three."""
        for node in self.nodes:
            node.stop()

    def await_whole(self, node: Node) -> None:
        """Wait until the node answers and knows the others."""
        deadline = time.monotonic() + _READY_SECONDS
        while not node.answers():
            assert time.monotonic() < deadline, f"broker {node.port} does not come back"
            time.sleep(0.2)

    def await_in_sync(self, count: int = NODES) -> None:
        """Wait until every partition has so many replicas in sync, all by default."""
        client = AdminClient({"bootstrap.servers": self.bootstrap}, logger=QUIET)
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                topics = client.list_topics(timeout=5).topics.values()
                if all(len(p.isrs) == count for t in topics for p in t.partitions.values()):
                    return
            except KafkaException:
                pass
            assert time.monotonic() < deadline, f"not {count} replicas in sync"
            time.sleep(0.3)
