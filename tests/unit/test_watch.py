"""What a worker's watcher shows of held partitions, and when it listens for commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from stream.domain.ledger import Ledger
from stream.edge.settled import Settled
from stream.edge.watch import EngineWatcher, Ties
from stream.errors import Remedy, TransactionError
from stream.obs.health import HealthFile
from stream.obs.metrics import EngineMetrics

REFUSED = TransactionError(Remedy.HOLD, "msg_size_too_large", "decision.audit")
LEDGERS = {partition: Ledger() for partition in range(6)}


class Ears:
    """Controls that count how often they were asked."""

    def __init__(self) -> None:
        self.polls = self.acknowledgements = 0

    def poll(self) -> bool:
        self.polls += 1
        return False

    def acknowledge(self) -> None:
        self.acknowledgements += 1


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def watcher(tmp_path: Path, registry: CollectorRegistry, ears: Any) -> EngineWatcher:
    health = HealthFile(tmp_path, "worker-0", 1)
    snapshots: Any = None
    ties = Ties(lambda _: Settled({}, {}), lambda: 0)
    log = structlog.get_logger()
    return EngineWatcher(EngineMetrics(registry), health, log, snapshots, ears, ties)


def test_the_gauge_counts_partitions_until_they_are_let_go(
    watcher: EngineWatcher, registry: CollectorRegistry
) -> None:
    """Three held, one of them taken over by another worker, then none."""

    def shown(ledgers: dict[int, Ledger], *, holding: bool) -> float | None:
        watcher.went_round(ledgers, idle=False, holding=holding, member=True)
        return registry.get_sample_value("tenminute_partitions_held")

    assert shown(LEDGERS, holding=False) == 0
    watcher.held([1, 3, 5], REFUSED)
    assert shown(LEDGERS, holding=True) == 3
    left = {partition: LEDGERS[partition] for partition in (0, 1, 2, 3)}
    watcher.dropped(left)
    assert shown(left, holding=True) == 2
    assert shown(left, holding=False) == 0


def test_commands_are_asked_for_once_a_round(watcher: EngineWatcher, ears: Ears) -> None:
    """An idle round asks and answers; one with a batch has asked before it, and answers."""
    watcher.went_round(LEDGERS, idle=True, holding=False, member=True)
    assert (ears.polls, ears.acknowledgements) == (1, 1)
    watcher.went_round(LEDGERS, idle=False, holding=False, member=True)
    assert (ears.polls, ears.acknowledgements) == (1, 2)
