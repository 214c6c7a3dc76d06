"""A restore that reads nothing is said to be stuck; one that reads goes on, however long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream.domain.topics import DECISIONS
from stream.edge import restore
from stream.edge.offsets import starts_of
from stream.errors import BrokerError
from stream.limits import RESTORE_STILL_SECONDS_MAX
from stream.ports import Place

PLACE = Place(DECISIONS, 0)


class Scene:
    """A reader of a partition, and a clock of its own: each consume takes a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *offsets: int | None) -> None:
        self.now, self.offsets, self.served = 0.0, list(offsets), list[bool]()
        monkeypatch.setattr(restore.time, "monotonic", lambda: self.now)

    def consume(self, _count: int, _seconds: float) -> list[Any]:
        self.now += 1.0
        offset = self.offsets.pop(0) if self.offsets else None
        if offset is None:
            return []
        eof = KafkaError(KafkaError._PARTITION_EOF) if offset == 99 else None
        fields = {"topic": PLACE.topic, "partition": PLACE.partition, "offset": offset}
        said = {name: lambda value=value: value for name, value in fields.items()}
        return [SimpleNamespace(error=lambda: eof, **said)]

    def serve(self, *, moved: bool) -> None:
        self.served.append(moved)

    def read(self, end: int) -> int:
        reader: Any = self
        return sum(1 for _ in restore._until(reader, {PLACE: end}, self.serve))


def test_nothing_to_read_for_long_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as before a transaction that hangs: the message names the place and what to look for."""
    scene = Scene(monkeypatch, 0, 1)
    with pytest.raises(BrokerError, match=r"disbursement\.decisions.*60 s.*hanging") as caught:
        scene.read(end=5)
    assert "find-hanging" in caught.value.fix
    assert scene.served[:3] == [True, True, False]
    assert RESTORE_STILL_SECONDS_MAX < scene.now < RESTORE_STILL_SECONDS_MAX + 5


def test_a_restore_that_reads_takes_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes of a record now and then, then the end; the group was served all the while."""
    pauses = [None] * 50
    offsets = [each for number in range(12) for each in (number, *pauses)]
    scene = Scene(monkeypatch, *offsets, 99)
    assert scene.read(end=99) == 12
    assert scene.now > 600
    assert len(scene.served) == scene.now


def test_an_error_for_one_partition_is_not_an_empty_one() -> None:
    """The broker may answer for some and refuse for others; an empty ledger would decide twice."""
    refused = SimpleNamespace(
        topic=PLACE.topic,
        partition=1,
        offset=-1,
        error=KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION),
    )
    answered = SimpleNamespace(topic=PLACE.topic, partition=0, offset=7, error=None)
    asker: Any = SimpleNamespace(offsets_for_times=lambda asked, timeout: [answered, refused])
    with pytest.raises(KafkaException):
        starts_of(asker, [PLACE, Place(DECISIONS, 1)], 0, 1.0)
    asker = SimpleNamespace(offsets_for_times=lambda asked, timeout: [answered])
    assert starts_of(asker, [PLACE], 0, 1.0) == {PLACE: 7}
