"""What Kafka clients say by themselves, as lines of this process's log instead of plain text.

librdkafka repeats a lost connection some twenty times a second. Of one client and kind a line
is written at most every thirty seconds; the next one says how many there were in between. Its
words are of brokers, topics, groups and transactional ids: a client does not look into records,
so no line can hold anything of a person.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

import structlog

from stream.obs.logs import unconfigured

EVERY_SECONDS = 30.0
TEXT_LENGTH_MAX = 400


class ClientLog:
    """The part of a standard logger that a client calls, at whatever thread serves it."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._lock = seconds, Lock()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def log(self, level: int, form: str, kind: str, client: str, text: str) -> None:
        """One line of a client: its name, such as `rdkafka#consumer-4`, and what it says.

        A client that is made anew after every failure is the same one here.
        """
        del level, form
        name = client.rstrip("0123456789").rstrip("-")
        with self._lock:
            at, suppressed = self._said.get((name, kind), (-EVERY_SECONDS, 0))
            now = self._seconds()
            if now - at < EVERY_SECONDS:
                self._said[name, kind] = (at, suppressed + 1)
                return
            self._said[name, kind] = (now, 0)
        _logger().warning(
            "kafka_client", client=name, kind=kind, text=text[:TEXT_LENGTH_MAX],
            suppressed=suppressed,
        )  # fmt: skip


def _logger() -> structlog.typing.FilteringBoundLogger:
    """The process's own; a verb that has none writes the same lines to standard error."""
    if not structlog.is_configured():
        return unconfigured("tenminute")
    own: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return own


CLIENT_LOG = ClientLog()
