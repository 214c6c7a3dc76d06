"""The server properties of a one-node Kafka: one process is broker and controller at once."""

from __future__ import annotations

from pathlib import Path

# Kafka's defaults of 50 partitions each cost seconds of start-up and buy one node nothing.
INTERNAL_PARTITIONS = 4
# The default of 128 MB would be a quarter of the small heap.
CLEANER_BUFFER_BYTES = 32 * 1024 * 1024
# Kafka's 9 s made a start after a kill take 13 s, and a lone node has nobody to fail over to; at
# 3 s a node on a machine with a load above 100 missed its own heartbeats and shut itself out.
SESSION_TIMEOUT_MS = 6_000
# Any constant will do: the node is alone.
CLUSTER_ID = "dGVuLW1pbnV0ZS1sb2FuIQ"


def server_properties(
    port: int, controller_port: int, data: Path, proxied: tuple[int, int] | None = None
) -> str:
    """Return the text of `server.properties`.

    `proxied` adds a listener on its first port that sends its clients to the second one, where a
    proxy is to stand.
    """
    listeners = f"PLAINTEXT://127.0.0.1:{port}"
    advertised = listeners
    if proxied is not None:
        listeners += f",PROXIED://127.0.0.1:{proxied[0]}"
        advertised += f",PROXIED://127.0.0.1:{proxied[1]}"
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": advertised,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,"
        "CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": data.resolve(),
        "auto.create.topics.enable": "false",
        "default.replication.factor": 1,
        "group.initial.rebalance.delay.ms": 0,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": INTERNAL_PARTITIONS,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": INTERNAL_PARTITIONS,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": INTERNAL_PARTITIONS,
        "log.cleaner.dedupe.buffer.size": CLEANER_BUFFER_BYTES,
        # After a kill the node must wait out its own old session before it may register again.
        "broker.session.timeout.ms": SESSION_TIMEOUT_MS,
        "broker.heartbeat.interval.ms": SESSION_TIMEOUT_MS // 6,
        "num.network.threads": 2,
        "num.io.threads": 4,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
