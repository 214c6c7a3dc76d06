"""The harness's own supervisor: what a restart cannot mend it does not start again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from chaos.engine import Ended, Engine
from chaos.faults import Faults
from chaos.stage import judge_ends

from stream.config import load_settings

WAIT_SECONDS_MAX = 60.0


def test_a_worker_that_refuses_its_settings_ends_the_scenario(tmp_path: Path) -> None:
    """One line names its log at once; nobody waits for it to become ready."""
    missing = load_settings(state_dir=tmp_path, policy_file=tmp_path / "missing.toml")
    engine = Engine(missing, tmp_path / "logs", 1)
    engine.launch("worker-0")
    engine.watch()
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not engine.given_up:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    engine.stop()
    with pytest.raises(AssertionError, match=r"worker-0 ended with 2: see .*worker-0\.log"):
        engine.await_ready(["worker-0"])
    assert "missing.toml" in engine.ended[0].problem


def test_only_a_brokers_death_explains_an_end() -> None:
    """With the broker's code, no more often than places were lost; all else fails."""
    lost, other = Ended("worker-0", 3, "reading the inputs: _FATAL"), Ended("worker-1", -11, "")
    faults = Faults(1)
    judge_ends([lost, other, lost, lost], faults, 2)
    said = "worker-0 ended by itself with 3: reading the inputs: _FATAL"
    assert [f"{said}; started again"] * 2 == faults.notes
    assert ["worker-1 ended by itself with -11", said] == faults.failures
    none = Faults(1)
    judge_ends([lost], none, 0)
    assert [said] == none.failures
