"""How much a worker takes at once, how long it lets a partition stand, and a restore that fails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stream.batch import Batch
from stream.domain.ledger import Ledger
from stream.domain.topics import APPLICATIONS, DEAD_LETTERS, DECISIONS
from stream.ending import TimeUpError
from stream.errors import BrokerError, Remedy, TransactionError
from stream.limits import (
    BATCH_SECONDS_TARGET,
    HOLD_SECONDS,
    MAX_POLL_INTERVAL_MS,
    SERVE_SECONDS,
    SNAPSHOT_DECISIONS,
)
from stream.pipeline import Pipeline
from stream.ports import Identity, Output, Place, Positions, Record, Serve
from stream.worker import Worker
from stream.world import World


class Scene:
    """Everything around a worker of two partitions, as plain as it can be.

    A batch takes `batch_seconds`; the topics in `refusing` refuse records; the next `failing`
    restores fail. Records of `astray` partitions are sent on to the other one.
    """

    def __init__(self, most: int = 8) -> None:
        self.now = 0.0
        self.left = math.inf
        self.seconds_of_a_restore = 0
        self.stopping = False
        self.hanging = False
        self.batch_seconds = 0.0
        self.refusing: set[str] = set()
        self.astray: set[int] = set()
        self.failing = 0
        self.limits: list[int] = []
        self.held: list[int] = []
        self.waiting: list[Record] = []
        self.said: list[str] = []
        self.committed_offsets: dict[Place, int] = {}
        self._reading: dict[Place, int] = {}
        world = SimpleNamespace(
            inbox=self,
            outlets=SimpleNamespace(open=lambda _: self),
            ledgers=self,
            lane=self,
            store=SimpleNamespace(reading=lambda: nullcontext(None)),
            clock=SimpleNamespace(
                now_ms=lambda: 0,
                seconds=lambda: self.now,
                sleep=self.wait_for,
                left=lambda: self.left,
                leaving=nullcontext,
            ),
            watcher=_Watcher(self),
            switches=lambda: None,
        )
        self.worker = Worker(
            cast("World", world),
            cast("Pipeline", self),
            partitions=2,
            batch_records=most,
            stopping=lambda: self.stopping,
        )
        self.worker.assigned([0, 1])
        self.step()

    def step(self) -> None:
        """Once round the loop, and then as often as it takes to be whole again."""
        self.worker.step()
        while self.said.count("assigned") <= self.said.count("failed"):
            self.worker.step()

    # the clock

    def wait_for(self, seconds: float) -> None:
        self.now += seconds

    # the pipeline: records of partition 1 become dead letters, those of 0 decisions

    def run(self, records: Sequence[Record], *_: object) -> Batch:
        self.now += self.batch_seconds
        batch = Batch(records)
        batch.strays = [r for r in records if r.partition in self.astray]
        batch.outputs = [
            Output(APPLICATIONS, 1 - r.partition, None, None, ())
            if r.partition in self.astray
            else Output((DECISIONS, DEAD_LETTERS)[r.partition], r.partition, None, None, ())
            for r in records
        ]
        return batch

    # the inbox

    def subscribe(self, _listener: object) -> None:
        """Joined."""

    def poll(self, limit: int, _timeout_ms: int) -> list[Record]:
        self.limits.append(limit)
        ready = [
            r
            for r in self.waiting
            if r.partition not in self.held
            and r.offset >= self._reading[Place(r.topic, r.partition)]
        ]
        return ready[:limit]

    def identity(self) -> Identity:
        return Identity("me", None)

    def committed(self, places: Sequence[Place]) -> dict[Place, int | None]:
        return {place: self.committed_offsets.get(place) for place in places}

    def bounds(self, _place: Place) -> tuple[int, int]:
        return 0, 100

    def read_from(self, positions: Positions) -> None:
        self._reading, self.held = dict(positions), []

    def hold(self, partitions: Sequence[int], *, held: bool) -> None:
        self.held = sorted({*self.held, *partitions} if held else {*self.held} - {*partitions})

    def close(self) -> None:
        self.said.append("closed")

    # the outlets and the lane: what is submitted is done at once

    def begin(self) -> None:
        """Opened."""

    def send(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            if output.topic in self.refusing:
                raise TransactionError(Remedy.HOLD, "policy_violation", output.topic)

    def commit(self, positions: Positions, _identity: Identity) -> None:
        self.committed_offsets.update(positions)
        self._reading.update(positions)

    def abort(self) -> None:
        """Given up."""

    def submit(self, work: Any) -> Any:
        work()
        return SimpleNamespace(wait=self.ended)

    def ended(self) -> None:
        if self.hanging:
            raise TransactionError(Remedy.RECREATE, "commit_stuck")

    # the ledgers

    def restore(
        self, partitions: Sequence[int], _consumed: Positions, serve: Serve
    ) -> Mapping[int, Ledger]:
        for _ in range(self.seconds_of_a_restore):
            self.now += 1.0
            serve(moved=True)
        if self.failing:
            self.failing -= 1
            raise BrokerError("no answer", fix="wait")
        return {partition: Ledger() for partition in partitions}


class _Watcher:
    """Notes what it hears by name."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self._scene.said.append(name)


def _record(partition: int, offset: int) -> Record:
    return Record(APPLICATIONS, partition, offset, None, None, (), 0)


def test_a_slow_batch_halves_the_next_and_quick_ones_let_it_grow_back() -> None:
    """Down to one record at the least, up to the setting at the most."""
    scene = Scene(most=8)
    scene.waiting = [_record(0, offset) for offset in range(12)]
    scene.batch_seconds = BATCH_SECONDS_TARGET * 1.01
    for _ in range(5):
        scene.step()
        scene.waiting = [_record(0, offset) for offset in range(20 + len(scene.limits) * 20, 99)]
    scene.batch_seconds = BATCH_SECONDS_TARGET
    scene.waiting = []
    for offset in range(1, 5):
        scene.waiting = [_record(1, offset)]
        scene.step()
    scene.step()
    assert scene.limits == [8, 4, 2, 1, 1, 1, 2, 4, 8, 8]


def test_only_the_partition_that_is_refused_stands_still_and_for_its_time() -> None:
    """The other goes on at once; after the time it is tried again, and held again."""
    scene = Scene()
    scene.refusing = {DEAD_LETTERS}
    scene.waiting = [_record(0, 0), _record(1, 0)]
    scene.step()
    assert scene.held == [1]
    scene.step()
    assert scene.committed_offsets[Place(APPLICATIONS, 0)] == 1
    scene.now += HOLD_SECONDS * 0.99
    scene.step()
    assert scene.held == [1]
    assert scene.said.count("held") == 1
    scene.now += HOLD_SECONDS * 0.01
    scene.step()
    assert (scene.held, scene.said.count("held")) == ([1], 2)
    scene.refusing = set()
    scene.now += HOLD_SECONDS
    scene.step()
    scene.step()
    assert scene.committed_offsets[Place(APPLICATIONS, 1)] == 1


def test_a_partition_that_stands_still_does_so_when_another_is_refused_too() -> None:
    """Each for its own time: the later refusal does not let the earlier one go."""
    scene = Scene()
    scene.refusing = {DEAD_LETTERS}
    scene.waiting = [_record(0, 0), _record(1, 0)]
    scene.step()
    assert scene.held == [1]
    scene.now += HOLD_SECONDS / 2
    scene.refusing = {DEAD_LETTERS, DECISIONS}
    scene.step()
    assert scene.held == [0, 1]
    scene.now += HOLD_SECONDS / 2
    scene.refusing = {DECISIONS}
    scene.step()
    scene.step()
    assert scene.held == [0]
    assert scene.committed_offsets[Place(APPLICATIONS, 1)] == 1


def test_a_stray_that_is_refused_holds_the_partition_it_was_read_from() -> None:
    """Its home goes on; read again at once, the stray would fail again for ever."""
    scene = Scene()
    scene.refusing, scene.astray = {APPLICATIONS}, {1}
    scene.waiting = [_record(0, 0), _record(1, 0)]
    scene.step()
    assert scene.held == [1]
    scene.step()
    assert scene.committed_offsets[Place(APPLICATIONS, 0)] == 1


@pytest.mark.parametrize("failures", [1, 5])
def test_a_restore_that_fails_is_tried_until_it_works_before_anything_is_read(
    failures: int,
) -> None:
    """No record is decided on a ledger that is not there."""
    scene = Scene()
    scene.refusing, scene.failing = {DEAD_LETTERS}, failures
    scene.waiting = [_record(1, 0)]
    scene.step()
    assert scene.said.count("still_failing") == failures
    assert scene.failing == 0
    scene.refusing = set()
    scene.now += HOLD_SECONDS
    scene.step()
    scene.step()
    assert scene.committed_offsets[Place(APPLICATIONS, 1)] == 1


@pytest.mark.parametrize("left", [3.0, 0.0])
def test_a_last_batch_that_does_not_end_in_time_is_said(left: float) -> None:
    """With time left its failure is known and mended by whoever comes next; without, exit 3."""
    scene = Scene()
    scene.waiting = [_record(0, 0)]
    scene.step()
    scene.stopping, scene.hanging, scene.left = True, True, left
    if left:
        scene.worker.run()
    else:
        with pytest.raises(TimeUpError, match="start it again"):
            scene.worker.run()
    assert scene.said[-1] == "closed"


def test_snapshots_are_kept_one_with_each_round() -> None:
    """Applicants wait for one ledger at most, never for all of them."""
    scene = Scene()
    scene.worker._since_quiet = SNAPSHOT_DECISIONS
    kept = []
    for _ in range(4):
        scene.step()
        kept.append(scene.said.count("quiet"))
    assert kept == [1, 2, 2, 2]


def test_a_worker_without_partitions_is_told_so_and_has_nothing_to_restore() -> None:
    """More workers than partitions: its share is none, which is no fault."""
    scene = Scene()
    scene.said.clear()
    scene.worker.assigned([])
    assert scene.said.count("assigned") == 1


def test_a_long_restore_keeps_asking_for_records_and_says_that_it_lives() -> None:
    """It is neither expelled by the group nor restarted by the probe, however long it takes."""
    scene = Scene()
    scene.seconds_of_a_restore = 600
    polls = len(scene.limits)
    scene.worker.assigned([0, 1])
    scene.step()
    served = MAX_POLL_INTERVAL_MS / 1000 / SERVE_SECONDS
    assert served * 9 <= len(scene.limits) - polls
    assert scene.said.count("restoring") >= 590


@pytest.mark.parametrize("told", ["to restore others", "to stop"])
def test_a_restore_of_no_use_any_more_ends_at_once(told: str) -> None:
    """Partitions that came meanwhile are begun with; a signal does not wait for the end."""
    scene = Scene()
    scene.seconds_of_a_restore = 600

    def during(_limit: int, _timeout_ms: int) -> list[Record]:
        if told == "to stop":
            scene.stopping = True
        elif scene.seconds_of_a_restore:
            scene.seconds_of_a_restore = 0
            scene.worker.assigned([1])
        return []

    began = scene.now
    scene.worker.assigned([0])
    scene.poll = during  # type: ignore[method-assign]
    scene.worker.step()
    assert scene.now - began < 10
    if told != "to stop":
        scene.worker.step()
        assert set(scene.worker._ledgers) == {1}
