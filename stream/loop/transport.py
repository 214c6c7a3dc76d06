"""Faust's aiokafka transport, reading committed records only.

Faust itself asks for `read_committed` only under its own exactly-once mode,
which does not do what its name says (see ARCHITECTURE.md); without it, a
worker would count decisions of transactions that were aborted. aiokafka keeps
the level on the consumer until it starts, which is where it is set here.
"""

from __future__ import annotations

from typing import Any, ClassVar

from faust.transport.drivers import aiokafka as driver

_LEVEL = "_isolation_level"


class ReadCommittedThread(driver.AIOKafkaConsumerThread):
    """The consumer thread, whose consumer skips aborted records."""

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:  # noqa: ANN401
        consumer = super()._create_worker_consumer(transport)
        if not hasattr(consumer, _LEVEL):
            raise AssertionError("aiokafka no longer keeps its isolation level where it was")
        setattr(consumer, _LEVEL, "read_committed")
        return consumer


class ReadCommittedConsumer(driver.Consumer):
    """Faust's consumer on such a thread."""

    def _new_consumer_thread(self) -> ReadCommittedThread:
        return ReadCommittedThread(self, loop=self.loop, beacon=self.beacon)


class ReadCommittedTransport(driver.Transport):
    """What the app is given in place of `kafka://`."""

    Consumer: ClassVar[type[ReadCommittedConsumer]] = ReadCommittedConsumer
