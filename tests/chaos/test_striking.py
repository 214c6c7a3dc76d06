"""Each crash point ends the worker behind one step and before the next, in the batch it is of.

The real loop runs over the real producer's class; only the client below that, the group and the
network are stand-ins. To end is to raise, and what the stand-ins hold at that instant is looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from chaos.crashes import BATCHES, Case, misplaced, phases
from chaos.crashing_worker import StrikingClient, wrapped
from chaos.reading import home_of
from chaos.striking import (
    MARKED,
    POINTS,
    SENDING,
    Strike,
    StrikingProxy,
    Trace,
    cut,
    expected_steps,
)
from chaos.workload import Shape, Workload
from faults.wire import Api, Request

from stream.batch import Batch
from stream.broker.place import free_port
from stream.config import load_settings
from stream.domain.ledger import Ledger
from stream.domain.topics import APPLICATIONS, AUDIT, DEAD_LETTERS, DECISIONS
from stream.edge import outlet as edge_outlet
from stream.edge.outlet import KafkaOutlets
from stream.pipeline import Pipeline
from stream.ports import Identity, Output, Place, Positions, Record
from stream.worker import Worker
from stream.world import World

OUTPUTS = [DEAD_LETTERS, AUDIT, DECISIONS, AUDIT, DECISIONS, AUDIT]
"""What a batch becomes here."""
HELD = {"P3": 3, "P4": 3, "P5": 5, "P6": 1, "P7": 4}
"""How many of these the topics hold when the worker ends while it sends; later all six."""
BATCH, COUNT = 2, 10


class Struck(BaseException):
    """The worker has ended itself."""


def strike_of(point: str, batch: str, journal: Path) -> Strike:
    """One that raises instead of dying."""
    environment = {"CRASH_AT": point, "CRASH_BATCH": batch, "CRASH_JOURNAL": str(journal)}

    def die() -> None:
        raise Struck

    return Strike(environment, die)


class Network:
    """What the broker holds, and the client that talks to it, as the striking proxy hears it."""

    def __init__(self, strike: Strike) -> None:
        self._strike = strike
        self._queued: list[str] = []
        self.open: list[str] = []
        """Topics of the records of the open transaction."""
        self.committed: list[str] = []
        self.staged: dict[Place, int] = {}
        self.offsets: dict[Place, int] = {}

    def init_transactions(self, _seconds: float) -> None:
        """Fenced."""

    def poll(self, _seconds: float) -> None:
        """Nothing to tell."""

    def begin_transaction(self) -> None:
        self.open, self.staged = [], {}

    def produce(self, topic: str, **_: object) -> None:
        self._queued.append(topic)

    def flush(self, _seconds: float = 0.0) -> int:
        self.open += self._queued
        self._queued = []
        return 0

    def send_offsets_to_transaction(self, offsets: Sequence[Any], *_: object) -> None:
        self.flush()
        self._strike.asked(Api.ADD_OFFSETS)
        self._strike.answered(Api.ADD_OFFSETS)
        self._strike.asked(Api.TXN_OFFSET_COMMIT)
        self.staged = {Place(each.topic, each.partition): each.offset for each in offsets}
        self._strike.answered(Api.TXN_OFFSET_COMMIT)

    def commit_transaction(self, *_: object) -> None:
        self._strike.asked(Api.END_TXN)
        self.committed += self.open
        self.offsets.update(self.staged)
        self._strike.answered(Api.END_TXN)


class Surroundings:
    """Inbox, ledgers, watcher, lane and pipeline of a worker with one partition."""

    def __init__(self, records: list[Record]) -> None:
        self.applied = 0
        self._records, self._at = records, 0

    def subscribe(self, listener: Any) -> None:
        self._listener = listener

    def poll(self, _limit: int, _timeout_ms: int) -> list[Record]:
        found = self._records[self._at : self._at + BATCH]
        self._at += len(found)
        return found

    def identity(self) -> Identity:
        return Identity("me", None)

    def committed_offsets(self, places: Sequence[Place]) -> dict[Place, int | None]:
        return dict.fromkeys(places)

    def bounds(self, _place: Place) -> tuple[int, int]:
        return 0, COUNT

    def read_from(self, _positions: Positions) -> None:
        """From the beginning."""

    def restore(self, partitions: Sequence[int], *_: object) -> dict[int, Ledger]:
        return {partition: Ledger() for partition in partitions}

    def run(self, records: Sequence[Record], *_: object) -> Batch:
        batch = Batch(records)
        batch.outputs = [Output(topic, 0, None, None, ()) for topic in OUTPUTS]
        return batch

    def applied_one(self, _batch: Batch) -> None:
        self.applied += 1

    def submit(self, work: Any) -> Any:
        """Later: while the next batch is prepared, as with the real lane."""
        return SimpleNamespace(wait=work)


def world_of(here: Surroundings, network: Network, strike: Strike) -> World:
    """All of it, within reach of the strike."""
    client = StrikingClient(network, strike)
    edge_outlet.transactional_producer = lambda *_, **__: client  # type: ignore[assignment]

    class Watcher:
        committed = staticmethod(here.applied_one)

        def __getattr__(self, _name: str) -> Any:
            return lambda *_, **__: None

    inbox = SimpleNamespace(
        subscribe=here.subscribe, poll=here.poll, identity=here.identity, bounds=here.bounds,
        committed=here.committed_offsets, read_from=here.read_from, close=lambda: None,
    )  # fmt: skip
    plain = World(
        inbox=cast("Any", inbox),
        outlets=KafkaOutlets(load_settings(), "worker"),
        ledgers=cast("Any", here),
        lane=cast("Any", here),
        store=cast("Any", SimpleNamespace(reading=lambda: nullcontext(None))),
        clock=cast("Any", SimpleNamespace(now_ms=lambda: 0, seconds=lambda: 0.0)),
        watcher=cast("Any", Watcher()),
        switches=lambda: cast("Any", None),
    )
    return wrapped(plain, strike)


@pytest.fixture(autouse=True)
def own_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client that a test puts in is gone after it."""
    monkeypatch.setattr(edge_outlet, "transactional_producer", edge_outlet.transactional_producer)


def step_through(worker: Worker) -> None:
    """Until all is decided, or the worker has ended."""
    for _ in range(3 * COUNT):
        worker.step()


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("point", POINTS)
def test_a_point_is_behind_one_step_and_before_the_next(
    point: str, batch: str, tmp_path: Path
) -> None:
    """Of the marked batch the topics, the offsets and the ledger hold what the point says."""
    index = {"first": 0, "middle": 2, "last": COUNT // BATCH - 1}[batch]
    mark = (MARKED, f"7:{batch}".encode())
    records = [
        Record(APPLICATIONS, 0, at, b"k", b"", [mark] if at == index * BATCH + 1 else [], 0)
        for at in range(COUNT)
    ]
    journal = tmp_path / "journal"
    strike = strike_of(point, f"7:{batch}", journal)
    network, here = Network(strike), Surroundings(records)
    worker = Worker(
        world_of(here, network, strike), cast("Pipeline", here), partitions=1,
        batch_records=BATCH, stopping=bool,
    )  # fmt: skip
    worker.assigned([0])
    with pytest.raises(Struck):
        step_through(worker)
    order = POINTS.index(point)
    # While a batch is polled or decided the one before it is still committing.
    before = index if order >= POINTS.index("P2") else max(0, index - 1)
    ended = point in ("P11", "P12", "P13")
    assert len(OUTPUTS) * (before + ended) == len(network.committed)
    assert (before + ended) * BATCH == network.offsets.get(Place(APPLICATIONS, 0), 0)
    assert before + (point == "P13") == here.applied
    if order >= POINTS.index("P2"):
        sent = 0 if point == "P2" else HELD.get(point, len(OUTPUTS))
        assert OUTPUTS[:sent] == network.open
        staged = order >= POINTS.index("P10")
        assert ({Place(APPLICATIONS, 0): (index + 1) * BATCH} if staged else {}) == network.staged
    trace = Trace.read(journal)
    assert expected_steps(point) == trace.steps
    assert (Place(APPLICATIONS, 0), index * BATCH + 1) == (trace.place, trace.offset)
    assert misplaced(point, trace, network.offsets.get(Place(APPLICATIONS, 0), 0)) == []


def test_the_proxy_strikes_before_a_request_and_before_an_answer_goes_on(tmp_path: Path) -> None:
    """P9 with the request for the offsets in hand, P11 with the answer to the end in hand."""
    for point, told, api in (
        ("P9", StrikingProxy.decide, Api.TXN_OFFSET_COMMIT),
        ("P11", StrikingProxy.answered, Api.END_TXN),
    ):
        strike = strike_of(point, "m", tmp_path / point)
        strike.look([Record(APPLICATIONS, 0, 4, b"k", b"", [(MARKED, b"m")], 0)])
        with StrikingProxy(free_port(), "127.0.0.1:1", strike) as proxy:
            told(proxy, Request(api, 3, 0, "", b""))
            strike.commits({Place(APPLICATIONS, 0): 5})
            with pytest.raises(Struck):
                told(proxy, Request(api, 3, 0, "", b""))


def test_a_strike_elsewhere_is_told() -> None:
    """Another step, or an offset on the wrong side, and the case has failed."""
    trace = Trace(Place(APPLICATIONS, 0), 5, expected_steps("P9"))
    assert misplaced("P9", trace, 5) == []
    assert misplaced("P9", trace, 6) == ["offset 5 is committed"]
    assert len(misplaced("P10", trace, 5)) == 1
    assert len(misplaced("P11", trace, 5)) == 2


def test_a_batch_without_the_place_has_no_cut() -> None:
    """A point that needs a decision does not strike where there is none."""
    letters = [DEAD_LETTERS, AUDIT]
    assert [cut(point, letters) for point in SENDING] == [None, 1, None, 1, None, 2]
    assert [cut(point, OUTPUTS) for point in SENDING] == [3, 3, 5, 1, 4, 6]


@pytest.mark.parametrize(("batch", "point"), [*itertools.product(BATCHES, ("P3", "P6"))])
def test_the_marked_record_is_where_its_batch_is(batch: str, point: str) -> None:
    """First of all to its partition, last of all, or between; and it becomes what the point needs.

    No record is lost or sent twice on the way.
    """
    workload = Workload(Shape(180, 3, malformed=0.2, scattered=0.05, repeats=0.1))
    found = phases(workload, Case(4, 2, batch, point), {1, 4})
    everything = [*found.before, *found.struck, *found.after]
    assert sorted(_numbers(workload.records())) == sorted(_numbers(everything))
    marked = [
        at for at, r in enumerate(everything) if (MARKED, b"4:" + batch.encode()) in r.headers
    ]
    assert len(marked) == 1
    record = everything[marked[0]]
    beside = [
        at
        for at, r in enumerate(everything)
        if not r.scattered and home_of(r.key) == home_of(record.key)
    ]
    place = {"first": 0, "last": len(beside) - 1}.get(batch, beside.index(marked[0]))
    assert beside[place] == marked[0]
    assert 0 < place < len(beside) - 1 or batch != "middle"
    assert home_of(record.key) in {1, 4}
    assert not record.scattered
    assert dict(record.headers)["x-chaos"].endswith(b":") == (point == "P3")
    assert bool(found.before) == (batch == "last")


def _numbers(records: Any) -> list[bytes]:
    return [dict(cast("Mapping[str, bytes]", r.headers))["x-chaos"] for r in records]
