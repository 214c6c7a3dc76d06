"""The engine's snapshot files and the simulation's stand-in for them keep one contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from loan_records import decision_of
from simulation.snapshots import Disk, SimSnapshots

from stream.domain.application_event import ApplicationEvent, EventKind
from stream.domain.chain import ChainHead
from stream.domain.ledger import Ledger
from stream.domain.topics import DECISIONS, EVENTS
from stream.edge.snapshots import Snapshots
from stream.ports import Place

COVERED = {Place(DECISIONS, 3): 41, Place(EVENTS, 3): 7}
OF = {"cluster_id": "cluster", "group_id": "group", "partitions": 6}
Made = Callable[..., Any]


@pytest.fixture(params=["files", "simulated"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    """Snapshots of one host, each call by another process of it."""
    disk: Disk = {}

    def make(**changes: Any) -> Any:
        of = OF | changes
        if request.param == "simulated":
            return SimSnapshots(disk, **of)
        return Snapshots(tmp_path, *of.values(), structlog.get_logger())

    return make


def ledger(*numbers: int) -> Ledger:
    """Decisions of these numbers, a release, and a chain's head."""
    found = Ledger()
    for number in numbers:
        found.take(decision_of(number))
    first = decision_of(numbers[0])
    found.take(
        ApplicationEvent(
            "event-1", EventKind.CANCEL, first.applicant_token, first.decided_at, "application-1"
        )
    )
    found.chain = ChainHead(9, bytes(range(32)))
    return found


def test_another_process_finds_what_was_kept(made: Made) -> None:
    """The whole ledger and the offsets it covers; of another partition nothing."""
    made().keep(3, ledger(1, 2), COVERED)
    assert (ledger(1, 2), COVERED) == made().load(3)
    assert made().load(2) is None


def test_the_last_one_kept_counts(made: Made) -> None:
    """A later snapshot takes the place of the earlier one."""
    made().keep(3, ledger(1), COVERED)
    later = {place: offset + 1 for place, offset in COVERED.items()}
    made().keep(3, ledger(1, 2), later)
    assert (ledger(1, 2), later) == made().load(3)


def test_what_happens_to_a_ledger_later_changes_no_snapshot(made: Made) -> None:
    """Neither the kept ledger nor the loaded one is shared."""
    kept = ledger(1)
    made().keep(3, kept, COVERED)
    kept.take(decision_of(2))
    made().load(3)[0].take(decision_of(5))
    assert (ledger(1), COVERED) == made().load(3)


@pytest.mark.parametrize(
    "change", [{"cluster_id": "other"}, {"group_id": "other"}, {"partitions": 7}]
)
def test_a_snapshot_of_something_else_is_passed_over(made: Made, change: dict[str, Any]) -> None:
    """Another cluster, group or partition count: the topics have it all."""
    made().keep(3, ledger(1), COVERED)
    assert made(**change).load(3) is None
