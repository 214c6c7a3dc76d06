"""A broker for a machine that has none: real Kafka where Maven is there, else librdkafka's mock."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from stream.broker.embedded import EmbeddedBroker
from stream.broker.jars import default_cache, jars_folder
from stream.broker.mock import MockBroker

__all__ = ["Broker", "EmbeddedBroker", "MockBroker", "start_broker"]


class Broker(Protocol):
    """What the demo and the tests ask of a broker; `why` says in words which one it is."""

    @property
    def kind(self) -> Literal["kafka", "mock"]:
        """Return whether this is a real Kafka or the mock."""

    @property
    def why(self) -> str:
        """Return why this kind was chosen, for the screen."""

    @property
    def bootstrap(self) -> str:
        """Return the address clients are given."""

    def stop(self) -> None:
        """End the broker."""

    def __enter__(self) -> Self:
        """Return the running broker."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the broker."""


def start_broker(folder: Path, *, port: int = 0) -> Broker:
    """Start real Kafka in `folder`, or the mock where Maven is missing and no jars are cached.

    Every other hindrance (no Java, a busy port, a full disk, an unreachable index) is an error
    with its remedy: quietly taking the lesser broker would hide it.
    """
    if jars_folder(default_cache()).is_dir() or shutil.which("mvn"):
        return EmbeddedBroker(folder, port=port).start()
    return MockBroker(
        "the mock broker of librdkafka, as Maven is not installed: topic administration, the "
        "disbursement consumer and the funnel are left out; install Maven and Java 17 for all"
    )
