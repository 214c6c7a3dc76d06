"""A real Kafka of these tests' own, and the proxy its clients cannot get round."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.proxy import FaultProxy

from stream.broker import EmbeddedBroker
from stream.broker.place import free_port
from stream.ops import topics


@pytest.fixture(scope="session")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    """The proxy before a real Kafka with the declared topics, both for the whole run."""
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("proxied")
    with (
        EmbeddedBroker(folder, proxied_port=port) as broker,
        FaultProxy(port, broker.behind_proxy) as proxy,
    ):
        topics.apply(broker.bootstrap, partitions=6, replication=1)
        yield proxy


@pytest.fixture
def proxy(proxied: FaultProxy) -> Iterator[FaultProxy]:
    """The proxy, harmless at the beginning and at the end of a test."""
    proxied.clear()
    yield proxied
    proxied.clear()
