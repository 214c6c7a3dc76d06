"""An input that cannot be read is logged once, counted each time, and makes a worker not ready."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from confluent_kafka import KafkaError, Message
from prometheus_client import CollectorRegistry

from stream.domain.topics import APPLICATIONS, EVENTS
from stream.edge.inbox import KafkaInbox
from stream.edge.reading import LOOK_SECONDS, Reading
from stream.edge.watch import EngineWatcher, Ties
from stream.obs.health import HealthFile, read_health
from stream.obs.metrics import EngineMetrics
from stream.ports import Place


class Scene:
    """An inbox of no broker, its reading, and a watcher with a health file."""

    def __init__(self, folder: Path) -> None:
        self.now, self.mended, self.folder = 0.0, False, folder
        self.registry = CollectorRegistry()
        metrics, log = EngineMetrics(self.registry), structlog.get_logger()
        self.reading = Reading(metrics.loop, log, self.look, lambda: self.now)
        self.inbox = KafkaInbox.__new__(KafkaInbox)
        self.inbox._reading, self.inbox._read, self.inbox._fatal = self.reading, set(), None
        controls: Any = SimpleNamespace(poll=bool, acknowledge=bool)
        snapshots: Any = None
        settled: Any = None
        ties = Ties(settled, int, self.reading.reason)
        health = HealthFile(folder, "worker-0", 1)
        self.watcher = EngineWatcher(metrics, health, log, snapshots, controls, ties)

    def look(self, place: Place) -> bool:
        assert place == Place(EVENTS, 3)
        return self.mended

    def hear(self, code: int) -> None:
        """As the client returns it from a poll."""
        error = KafkaError(code)
        message = SimpleNamespace(topic=lambda: EVENTS, partition=lambda: 3)
        self.inbox._complain(cast("Message", message), error)

    def counted(self, kind: str) -> float | None:
        return self.registry.get_sample_value("tenminute_read_errors_total", {"kind": kind})

    def ready(self) -> tuple[bool, str]:
        self.watcher.went_round({}, idle=True, holding=False, member=True)
        [said] = read_health(self.folder)
        return said.ready, said.detail


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "unauthorized"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "missing"),
        (KafkaError.UNKNOWN_TOPIC_ID, "other"),
    ],
)
def test_what_a_person_must_mend_is_said_once_and_until_it_is_over(
    tmp_path: Path, code: int, kind: str
) -> None:
    """Also after the client is silent; a look that succeeds ends it."""
    scene = Scene(tmp_path)
    scene.watcher.assigned({})
    assert scene.ready() == (True, "0 partitions")
    with structlog.testing.capture_logs() as lines:
        scene.hear(code)
        scene.hear(code)
        assert scene.ready() == (False, f"cannot read {EVENTS}: {kind}")
        assert scene.registry.get_sample_value("tenminute_inputs_unreadable") == 1
        scene.now += LOOK_SECONDS
        assert not scene.ready()[0]
        scene.mended, scene.now = True, scene.now + LOOK_SECONDS
        assert scene.ready()[0]
    assert [line["event"] for line in lines] == ["inputs_unreadable", "inputs_readable"]
    assert "fix" in lines[0]
    assert (scene.counted(kind), scene.counted("away")) == (2, 0)
    assert scene.registry.get_sample_value("tenminute_inputs_unreadable") == 0


@pytest.mark.parametrize(
    ("code", "kind"), [(KafkaError._TRANSPORT, "away"), (KafkaError._MAX_POLL_EXCEEDED, "late")]
)
def test_what_the_client_mends_by_itself_is_counted_only(
    tmp_path: Path, code: int, kind: str
) -> None:
    """The client's own log says it; whether the group still counts us is asked elsewhere."""
    scene = Scene(tmp_path)
    scene.watcher.assigned({})
    with structlog.testing.capture_logs() as lines:
        scene.hear(code)
    assert (scene.ready(), scene.counted(kind), lines) == ((True, "0 partitions"), 1, [])


def test_a_worker_that_the_group_does_not_count_says_that_it_waits(tmp_path: Path) -> None:
    """Never assigned anything, not even nothing."""
    assert Scene(tmp_path).ready() == (False, "waiting for a place in the group")


def test_a_topic_of_no_trouble_is_not_named(tmp_path: Path) -> None:
    """The reason names what cannot be read and nothing else."""
    scene = Scene(tmp_path)
    scene.hear(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert APPLICATIONS not in scene.reading.reason()
