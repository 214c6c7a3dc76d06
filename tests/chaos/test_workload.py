"""Workload W is what it says: seeded, made up, and each bad record really bad."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from chaos.crashes import POINTS, runs
from chaos.reading import home_of
from chaos.sides import Sides
from chaos.workload import MARK, Pacer, Publisher, Sent, Shape, Workload

from stream.codec.application_v1 import check_envelope, decode_application
from stream.codec.keys import partition_of
from stream.domain.application_event import EventKind
from stream.errors import PoisonError

SHAPE = Shape(3_000, seed=5)


def faults_of(workload: Workload) -> list[tuple[str, str]]:
    """Per record, the fault its header names and the one the engine's decoder finds."""
    found = []
    for record in workload.records():
        said = dict(record.headers)[MARK].decode().partition(":")[2]
        try:
            check_envelope(decode_application(record.value), record.key, [*record.headers])
        except PoisonError as error:
            found.append((said, error.reason))
        else:
            found.append((said, ""))
    return found


def test_every_record_is_what_its_header_says() -> None:
    """The engine's decoder refuses exactly the records marked malformed, for that reason."""
    found = faults_of(Workload(SHAPE))
    assert [pair for pair in found if pair[0] != pair[1]] == []
    bad = sum(bool(said) for said, _ in found)
    assert 30 < bad < 100


def test_the_shares_are_the_ones_asked_for() -> None:
    """About 5 % repeats and 1 % conflicts, and every person several times."""
    values: dict[str, list[bytes]] = {}
    for record in Workload(SHAPE).records():
        if dict(record.headers)[MARK].endswith(b":"):
            found = orjson.loads(record.value)
            assert found["synthetic"] is True
            values.setdefault(found["application_id"], []).append(record.value)
    assert len(values) == 3_000
    repeats = sum(len(each) - len(set(each)) for each in values.values())
    conflicts = sum(len(set(each)) - 1 for each in values.values())
    assert 90 < repeats < 220
    assert 10 < conflicts < 60


def test_the_same_seed_makes_the_same_records() -> None:
    """But for instants and the names that come of them, a run can be made again."""
    one, other = (
        Counter((len(r.value), r.scattered) for r in Workload(SHAPE).records()) for _ in range(2)
    )
    assert one == other


def test_a_storm_sends_every_id_twenty_times() -> None:
    """The retry storm repeats each application exactly as often as asked."""
    workload = Workload(SHAPE._replace(applications=50, copies=20, repeats=0, conflicts=0,
                                       malformed=0))  # fmt: skip
    ids = Counter(orjson.loads(record.value)["application_id"] for record in workload.records())
    assert {20} == set(ids.values())
    assert len(ids) == 50


def test_the_oracles_hash_is_the_one_channels_must_use() -> None:
    """kafka-python and the engine place every key alike, each by its own code."""
    keys = [case.application.applicant_token.encode() for case in Workload(SHAPE).people]
    assert [partition_of(key, 6) for key in keys] == [home_of(key) for key in keys]


def test_whitelist_updates_take_every_fourth_back() -> None:
    """Tombstones come after the entry they remove."""
    updates = list(Workload(SHAPE._replace(whitelist_updates=100)).updates())
    gone = [key for key, value in updates if value is None]
    assert len(gone) == 25
    assert all(key in {k for k, value in updates if value} for key in gone)


def test_the_pacer_ends_with_the_faults() -> None:
    """Records last as long as the faults do, and all are due once those are over."""
    progress = 0.0
    pacer = Pacer(1_000, 3_600.0, lambda: progress)
    assert pacer.due() < 100
    progress = 1.0
    assert pacer.due() > 1_000_000


class RefusingOnce:
    """A producer whose broker refuses the first two records, each once."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self._told: list[tuple[object, Callable[[object, object], None]]] = []
        self._refused: set[bytes] = set()

    def produce(self, _topic: str, value: bytes, _key: bytes, **how: Any) -> None:
        refused = len(self._refused) < 2 and value not in self._refused
        if refused:
            self._refused.add(value)
        else:
            self.taken.append(value)
        self._told.append(("disk full" if refused else None, how["on_delivery"]))

    def flush(self, _seconds: float) -> int:
        told, self._told = self._told, []
        for error, on_delivery in told:
            on_delivery(error, None)
        return 0

    def poll(self, _seconds: float) -> None:
        """Told at the flush."""


def test_a_record_that_the_broker_refused_is_sent_again() -> None:
    """As a channel would; it is acknowledged once, and what else is said is not lost either."""
    publisher, client = Publisher.__new__(Publisher), RefusingOnce()
    records = [Sent(b"k", value, [], False) for value in (b"a", b"b", b"c")]
    publisher._right = publisher._wrong = client  # type: ignore[assignment]
    publisher._records, publisher._pacer = iter(records), None
    publisher._refused, publisher.failed = [], []
    publisher.sent = publisher.acknowledged = 0
    publisher._run()
    assert (publisher.failed, publisher.acknowledged) == ([], 3)
    assert sorted(client.taken) == [b"a", b"b", b"c"]
    sides, client = Sides.__new__(Sides), RefusingOnce()
    sides._client, sides._refused, sides._sent = client, [], 0  # type: ignore[assignment]
    sides._source = "/channels/test"
    for number in range(3):
        sides._event(EventKind.CANCEL, "token", f"a{number}")
    sides._flush()
    assert len(client.taken) == 3


@pytest.mark.parametrize("count", [84, 6, 1])
def test_crash_runs_cover_what_they_can(count: int) -> None:
    """All 84 combinations, or as many as asked for, none twice."""
    chosen = runs(count)
    assert len(set(chosen)) == count
    assert count < 84 or {point for _, _, point in chosen} == set(POINTS)
