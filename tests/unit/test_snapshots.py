"""A ledger snapshot is whole and of this group, or passed over; and kept only of what is ours."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from loan_records import decision_of
from prometheus_client import CollectorRegistry

from stream.domain.application_event import ApplicationEvent, EventKind
from stream.domain.chain import ChainHead
from stream.domain.decision import Outcome
from stream.domain.ledger import Ledger
from stream.domain.topics import APPLICATIONS, DECISIONS, EVENTS, INPUTS, REVIEWS
from stream.edge.settled import Settled
from stream.edge.snapshots import Snapshots
from stream.edge.watch import EngineWatcher, Ties
from stream.obs.health import HealthFile
from stream.obs.metrics import EngineMetrics
from stream.ports import Place

COVERED = {Place(DECISIONS, 3): 41, Place(EVENTS, 3): 7}


def _snapshots(folder: Path, **changes: Any) -> Snapshots:
    of = {"cluster_id": "cluster", "group_id": "group", "partitions": 6, **changes}
    return Snapshots(
        folder, of["cluster_id"], of["group_id"], of["partitions"], structlog.get_logger()
    )


def _ledger() -> Ledger:
    ledger = Ledger()
    ledger.take(decision_of(1))
    ledger.take(decision_of(2, Outcome.REFER))
    for number, kind in enumerate(EventKind):
        token, at = decision_of(number).applicant_token, decision_of(number).decided_at
        ledger.take(ApplicationEvent(f"event-{number}", kind, token, at, f"application-{number}"))
    ledger.chain = ChainHead(9, bytes(range(32)))
    return ledger


def test_a_snapshot_comes_back_as_it_was(tmp_path: Path) -> None:
    """Every part of the ledger and the offsets from which the topics go on."""
    _snapshots(tmp_path / "new").keep(3, _ledger(), COVERED)
    assert (_ledger(), COVERED) == _snapshots(tmp_path / "new").load(3)
    assert _snapshots(tmp_path / "new").load(2) is None
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["3.ledger"]


@pytest.mark.parametrize(
    "change", [{"cluster_id": "other"}, {"group_id": "other"}, {"partitions": 7}]
)
def test_a_snapshot_of_something_else_is_passed_over(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """Another cluster, another group or another partition count: the topics have it all."""
    _snapshots(tmp_path).keep(3, _ledger(), COVERED)
    assert _snapshots(tmp_path, **change).load(3) is None


@pytest.mark.parametrize("where", [0, 31, 32, 60, -1])
def test_a_damaged_snapshot_is_passed_over(tmp_path: Path, where: int) -> None:
    """One flipped bit anywhere, in the checksum or behind it, and it is not used."""
    _snapshots(tmp_path).keep(3, _ledger(), COVERED)
    content = bytearray((tmp_path / "3.ledger").read_bytes())
    content[where] ^= 1
    (tmp_path / "3.ledger").write_bytes(content)
    assert _snapshots(tmp_path).load(3) is None


@pytest.mark.parametrize("size", [0, 10, 32, 200])
def test_a_torn_snapshot_is_passed_over(tmp_path: Path, size: int) -> None:
    """A file cut short is not used."""
    _snapshots(tmp_path).keep(3, _ledger(), COVERED)
    content = (tmp_path / "3.ledger").read_bytes()
    (tmp_path / "3.ledger").write_bytes(content[:size])
    assert _snapshots(tmp_path).load(3) is None


@pytest.mark.parametrize("body", [b"", b"\x93\x01\x02\x03", msgspec.msgpack.encode({"format": 3})])
def test_a_snapshot_of_another_format_is_passed_over(tmp_path: Path, body: bytes) -> None:
    """Whole, but written by another version: its shape is not trusted."""
    (tmp_path / "3.ledger").write_bytes(hashlib.sha256(body).digest() + body)
    assert _snapshots(tmp_path).load(3) is None


def test_a_snapshot_of_format_1_is_passed_over(tmp_path: Path) -> None:
    """It says what was released without saying whose it was; an empty one has the same shape."""
    for released in ([], ["application-1"]):
        ledger = {**msgspec.to_builtins(Ledger()), "released": released}
        content = {"format": 1, "cluster_id": "cluster", "group_id": "group", "partitions": 6}
        body = msgspec.msgpack.encode({**content, "offsets": [], "ledger": ledger})
        (tmp_path / "3.ledger").write_bytes(hashlib.sha256(body).digest() + body)
        assert _snapshots(tmp_path).load(3) is None


def test_a_full_disk_keeps_the_snapshot_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one stays whole, nothing half written is left, and the engine goes on."""
    _snapshots(tmp_path).keep(3, Ledger(), COVERED)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    _snapshots(tmp_path).keep(3, _ledger(), COVERED)
    assert (Ledger(), COVERED) == _snapshots(tmp_path).load(3)
    assert [path.name for path in tmp_path.iterdir()] == ["3.ledger"]


def test_a_folder_that_cannot_be_made_is_no_reason_to_stop(tmp_path: Path) -> None:
    """Nothing is kept, nothing is raised."""
    (tmp_path / "file").write_text("in the way")
    _snapshots(tmp_path / "file").keep(3, _ledger(), COVERED)
    assert _snapshots(tmp_path / "file").load(3) is None


OURS = {Place(APPLICATIONS, 3): 10, Place(EVENTS, 3): 7, Place(REVIEWS, 3): 0}


@pytest.mark.parametrize("topic", [APPLICATIONS, EVENTS, REVIEWS])
def test_offsets_that_moved_on_say_that_another_has_decided(topic: str) -> None:
    """A thawed worker's ledger lacks what its successor decided before the end it was told."""
    moved = {**OURS, Place(topic, 3): 11}
    assert Settled({}, {**OURS}).is_ours(3, OURS)
    assert not Settled({}, {**moved}).is_ours(3, OURS)


def test_a_topic_never_committed_is_nobody_elses() -> None:
    """Nothing has come yet on it."""
    assert Settled({}, {**OURS, Place(REVIEWS, 3): None}).is_ours(3, OURS)


def test_the_watcher_keeps_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    """Of two partitions one is already another's: only the other's snapshot is kept."""
    positions = {Place(topic, p): 10 for topic in INPUTS for p in (3, 4)}
    settled = Settled(
        {Place(DECISIONS, 3): 41, Place(DECISIONS, 4): 41},
        {**positions, Place(APPLICATIONS, 4): 11},
    )
    snapshots = _snapshots(tmp_path)
    metrics, health = EngineMetrics(CollectorRegistry()), HealthFile(tmp_path, "worker-0", 1)
    ties, log = Ties(lambda _: settled, lambda: 0), structlog.get_logger()
    controls: Any = None
    watcher = EngineWatcher(metrics, health, log, snapshots, controls, ties)
    watcher.quiet({3: _ledger(), 4: _ledger()}, positions)
    covered = {Place(DECISIONS, 3): 41, Place(EVENTS, 3): 10}
    assert (_ledger(), covered) == snapshots.load(3)
    assert snapshots.load(4) is None
