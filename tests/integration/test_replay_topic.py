"""What the engine decided with a challenger and a shadow in force replays from its topic."""

from __future__ import annotations

from pathlib import Path

import pytest
from proofs.replay import prove
from proofs.topic_page import (
    BY_CHALLENGER,
    CHALLENGER_SCORED,
    DECISIONS,
    IN_FORCE,
    SCORED,
    SHADOW_SCORED,
    page_of,
)

from stream.broker import EmbeddedBroker
from stream.ops import topics

pytestmark = pytest.mark.broker
COUNT = 300


def test_decisions_of_an_engine_in_a_trial_replay_identical(tmp_path: Path) -> None:
    """Real loans, decided by two arms beside a shadow: each record again, bit for bit."""
    # Of its own: on the shared one the span of time holds what other tests decided.
    with EmbeddedBroker(tmp_path / "broker") as broker:
        topics.apply(broker.bootstrap, partitions=6, replication=1)
        found = prove(broker.bootstrap, tmp_path, COUNT, workers=1)
    assert found.told["shown"] == []
    assert found.holds, found.summary()
    counts = found.counts
    assert counts[DECISIONS] == counts[IN_FORCE] == COUNT
    assert counts[SCORED] == counts[CHALLENGER_SCORED] == counts[SHADOW_SCORED] > COUNT // 2
    # A share of 30 % of 300 is 90; the draw is by person, so this bound is seven deviations off.
    assert 30 < counts[BY_CHALLENGER] < 150
    page = page_of(found, tmp_path, 1, "abc").read_text()
    assert f"| identical, bit for bit | {COUNT} |" in page
