"""The mock broker inside librdkafka, for machines without Maven.

It serves consumer groups and transactions to the engine's client, from other processes too, but
neither kafka-python nor a Faust app; it keeps nothing on disk and creates topics as they are named.
"""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import Literal, Self

from confluent_kafka import Producer

from stream.errors import BrokerError

START_TIMEOUT_SECONDS = 10.0


class MockBroker:
    """A mock cluster of one broker that lives as long as this object and its process."""

    kind: Literal["kafka", "mock"] = "mock"

    def __init__(self, why: str) -> None:
        """Start the mock; `why` says what kept the real broker from being used."""
        self.why = why
        quiet = logging.getLogger("stream.broker.mock")
        quiet.addHandler(logging.NullHandler())
        quiet.propagate = False
        self._owner: Producer | None = Producer({"test.mock.num.brokers": 1}, logger=quiet)
        self.bootstrap = self._address(self._owner)

    def stop(self) -> None:
        """End the mock and lose what it holds."""
        self._owner = None

    def __enter__(self) -> Self:
        """Return the running mock."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the mock."""
        self.stop()

    @staticmethod
    def _address(owner: Producer) -> str:
        """Ask the mock where it listens."""
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            brokers = owner.list_topics(timeout=START_TIMEOUT_SECONDS).brokers.values()
            if brokers:
                return ",".join(f"{b.host}:{b.port}" for b in brokers)
        raise BrokerError("the mock broker did not start", fix="install Maven and Java 17")
