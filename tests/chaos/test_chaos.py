"""Chaos in short: a few scenarios of `make chaos`, on real processes and a real Kafka."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.scenarios import SCENARIOS, Setting

pytestmark = pytest.mark.broker
SEED = 7


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["kill100", "crashpoints", "storm", "broker_kill", "mixed"])
def test_nothing_is_lost_doubled_or_mismatched(name: str, tmp_path: Path) -> None:
    """Whatever is done to workers or by channels, every record is answered exactly once.

    Nor does a worker end unasked, but for one whose place went with its broker: it is started
    again, as the shipped supervisor does.
    """
    chosen = SCENARIOS[name]
    result = chosen.run(name, Setting(chosen.short, SEED, tmp_path, lambda _: None))
    assert result.failures == []
    assert result.verdict.applications > 0
    assert result.replay.records == result.verdict.decisions
    assert result.faults.done >= chosen.short.faults
