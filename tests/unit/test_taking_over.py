"""A worker given partitions reads from their committed offsets, or stops and says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from stream.domain.ledger import Ledger
from stream.domain.topics import APPLICATIONS, EVENTS, INPUTS, REVIEWS
from stream.ending import OffsetLostError, OffsetMissingError, PartitionsRaisedError
from stream.pipeline import Pipeline
from stream.ports import Place, Positions, Record
from stream.worker import Worker
from stream.world import World

HOME = Place(APPLICATIONS, 0)
ATTEMPTS = 3


class _Inbox:
    """An inbox that holds offsets 10 to 20 everywhere; `answers` are given one after another."""

    def __init__(self, *answers: Mapping[Place, int]) -> None:
        self._answers = list(answers)
        self.read: dict[Place, int] | None = None

    def subscribe(self, listener: object) -> None:
        del listener

    def committed(self, places: Sequence[Place]) -> dict[Place, int | None]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return {place: answer.get(place) for place in places}

    def bounds(self, place: Place) -> tuple[int, int]:
        del place
        return 10, 20

    def read_from(self, positions: Positions) -> None:
        self.read = dict(positions)

    def poll(self, limit: int, timeout_ms: int) -> list[Record]:
        del limit, timeout_ms
        return []


def _nothing(*_: object, **__: object) -> None:
    """What the watcher, the outlets and the clock do here."""


def _take(inbox: _Inbox, *partitions: int, ids: int = 0) -> None:
    """Give partitions to a worker of two whose ledgers hold so many ids, until it reads."""
    ledger = Ledger(answered={f"app-{number}": ("", 0, "") for number in range(ids)})
    world = SimpleNamespace(
        inbox=inbox,
        outlets=SimpleNamespace(open=_nothing),
        ledgers=SimpleNamespace(restore=lambda found, *_: dict.fromkeys(found, ledger)),
        watcher=SimpleNamespace(assigned=_nothing, dropped=_nothing, still_failing=_nothing),
        clock=SimpleNamespace(sleep=_nothing, seconds=float),
    )
    worker = Worker(
        cast("World", world), cast("Pipeline", None), partitions=2, batch_records=1, stopping=bool
    )
    worker.assigned(partitions)
    for _ in range(ATTEMPTS):
        if inbox.read is None:
            worker.step()


def test_reading_goes_on_at_the_committed_offsets() -> None:
    """Each topic at its own; one never read begins at what is kept first."""
    inbox = _Inbox({HOME: 20, Place(EVENTS, 0): 12})
    _take(inbox, 0, ids=1)
    assert inbox.read == {HOME: 20, Place(EVENTS, 0): 12, Place(REVIEWS, 0): 10}


def test_a_first_start_reads_everything_kept() -> None:
    """Without offsets and without decisions there is nothing to be missed."""
    inbox = _Inbox({})
    _take(inbox, 1)
    assert inbox.read == {Place(topic, 1): 10 for topic in INPUTS}


def test_a_missing_offset_stops_the_engine() -> None:
    """Decisions without an offset: the group was deleted, and no guess is made."""
    inbox = _Inbox({})
    with pytest.raises(OffsetMissingError, match=r"loan\.applications/0: .* 3 ids .*'offsets'"):
        _take(inbox, 0, ids=3)
    assert inbox.read is None


def test_an_offset_committed_meanwhile_is_looked_up_again() -> None:
    """Another owner committed between two answers: restored anew instead of stopping."""
    inbox = _Inbox({}, {HOME: 15})
    _take(inbox, 0, ids=3)
    assert inbox.read is not None
    assert inbox.read[HOME] == 15


@pytest.mark.parametrize("offset", [9, 21])
def test_an_offset_outside_the_log_stops_the_engine(offset: int) -> None:
    """Records were deleted, or the topic was made anew: one off either end is too far."""
    inbox = _Inbox({HOME: offset})
    with pytest.raises(OffsetLostError, match=rf"from {offset}, holds 10 to 20 .*'offsets'"):
        _take(inbox, 0, ids=3)
    assert inbox.read is None


def test_a_raised_partition_count_stops_the_engine() -> None:
    """A partition beyond the declared count would belong to people of other ledgers."""
    inbox = _Inbox({})
    with pytest.raises(PartitionsRaisedError, match=r"at least 3 partitions, declared are 2"):
        _take(inbox, 0, 2)
    assert inbox.read is None
