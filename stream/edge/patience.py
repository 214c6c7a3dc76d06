"""A broker that is away is waited for: a process that died of it would be given up in an outage."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import structlog

from stream.errors import BrokerAwayError
from stream.limits import RETRY_SECONDS
from stream.obs.health import HealthFile

_Answer = TypeVar("_Answer")


class Patience:
    """Asks until there is an answer, and says meanwhile what is waited for."""

    def __init__(
        self,
        stop: threading.Event,
        health: HealthFile,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        """Wait until `stop`, and say so in `health` and `log`."""
        self._stop, self._health, self._log = stop, health, log

    def ask(self, question: Callable[[], _Answer]) -> _Answer | None:
        """What `question` returns once a broker answers; None when told to stop first."""
        while not self._stop.is_set():
            try:
                return question()
            except BrokerAwayError as away:
                self._health.say("starting", ready=False, detail="waiting for the broker")
                self._log.warning("broker_away", problem=away.message)
                self._stop.wait(RETRY_SECONDS)
        return None
