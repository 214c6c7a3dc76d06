"""A real Kafka with the declared topics, and the proxy its clients cannot get round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from faults.proxy import FaultProxy

from stream.broker import EmbeddedBroker
from stream.broker.place import free_port
from stream.ops import topics


class Stage(NamedTuple):
    """The proxy for the engine under test, the broker for those who count."""

    proxy: FaultProxy
    broker: EmbeddedBroker


@contextmanager
def set_stage(folder: Path) -> Iterator[Stage]:
    """Both, for as long as the context lasts."""
    port = free_port()
    with (
        EmbeddedBroker(folder, proxied_port=port) as broker,
        FaultProxy(port, broker.behind_proxy) as proxy,
    ):
        topics.apply(broker.bootstrap, partitions=6, replication=1)
        yield Stage(proxy, broker)
