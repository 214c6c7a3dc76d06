"""Whether the inputs can be read: what a client cannot mend by itself is said, counted and shown.

A client reports such an error once and is silent from then on, and does not say either when it
is over. So a topic that could not be read is looked at again, by a client of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from confluent_kafka import OFFSET_END, KafkaError, KafkaException, TopicPartition

from stream.config import Settings
from stream.domain.topics import APPLICATIONS
from stream.edge.clients import AWAY, consumer
from stream.edge.offsets import committed_of
from stream.obs.loop_metrics import LoopMetrics
from stream.ports import Place

LOOK_SECONDS = 5.0
"""Between two looks at what could not be read."""
PROBE_SECONDS = 2.0
GROUP = "the group"
"""What is asked for where an error names no topic."""

_KINDS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "unauthorized",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "unauthorized",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "unauthorized",
    KafkaError._AUTHENTICATION: "unauthenticated",
    KafkaError.SASL_AUTHENTICATION_FAILED: "unauthenticated",
    KafkaError._SSL: "unauthenticated",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "missing",
    KafkaError._UNKNOWN_TOPIC: "missing",
    KafkaError._UNKNOWN_PARTITION: "missing",
    KafkaError._MAX_POLL_EXCEEDED: "late",
    **dict.fromkeys(AWAY, "away"),
}
_MENDS_ITSELF = ("away", "late")
_FIX = {
    "unauthorized": "let the engine's principal read it; see the runbook",
    "unauthenticated": "give the engine the credentials the broker takes",
    "missing": "run: tenminute topics apply; see the runbook, 'offsets'",
    "other": "look the error up; run: tenminute doctor",
}


def kind_of(error: KafkaError) -> str:
    """The kind of an error, one of `READ_ERRORS`."""
    return _KINDS.get(error.code(), "other")


class Reading:
    """What cannot be read just now, and why."""

    def __init__(
        self,
        metrics: LoopMetrics,
        log: structlog.typing.FilteringBoundLogger,
        readable: Callable[[Place], bool],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """`readable` looks at one place by itself, and takes its time."""
        self._metrics, self._log, self._readable = metrics, log, readable
        self._seconds = seconds
        self._unread: dict[str, tuple[str, Place]] = {}
        self._looked_at = 0.0

    def hear(self, topic: str, partition: int, error: KafkaError) -> None:
        """Count an error; one that a person must mend is logged once until it is over."""
        kind = kind_of(error)
        self._metrics.read_errors.labels(kind).inc()
        if kind in _MENDS_ITSELF:
            return
        what = topic or GROUP
        if self._unread.get(what, ("", None))[0] != kind:
            self._log.error(
                "inputs_unreadable", topic=what, kind=kind, error=error.name(), fix=_FIX[kind]
            )
            self._looked_at = self._seconds()
        self._unread[what] = kind, Place(topic, max(0, partition))
        self._metrics.unreadable.set(len(self._unread))

    def reason(self) -> str:
        """What cannot be read, for the probe's body; empty when all can."""
        if self._unread and self._seconds() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = self._seconds()
            for what, (_, place) in list(self._unread.items()):
                if self._readable(place):
                    del self._unread[what]
                    self._log.warning("inputs_readable", topic=what)
            self._metrics.unreadable.set(len(self._unread))
        found = (f"cannot read {what}: {kind}" for what, (kind, _) in self._unread.items())
        return ", ".join(sorted(found))


def is_readable(settings: Settings, place: Place) -> bool:
    """Whether a new client reads the end of a place, or for the group the committed offsets."""
    asker = consumer(settings, settings.group_id, **{"enable.partition.eof": True})
    try:
        if not place.topic:
            committed_of(asker, [Place(APPLICATIONS, 0)], PROBE_SECONDS)
            return True
        asker.assign([TopicPartition(*place, OFFSET_END)])
        message = asker.poll(PROBE_SECONDS)
        if message is None:
            return False
        error = message.error()
        return error is None or error.code() == KafkaError._PARTITION_EOF
    except KafkaException:
        return False
    finally:
        asker.close()
