"""The harness's own supervisor: what a restart cannot mend it does not start again."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from chaos.engine import Ended, Engine
from chaos.faults import Faults
from chaos.stage import judge_ends

from stream.config import load_settings
from stream.edge.supervisor import RESTARTS_MAX

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


def test_whoever_ends_as_often_as_the_shipped_supervisor_bears_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than five ends of one process within a minute fail a scenario; asked ones if counted."""
    monkeypatch.setattr(Engine, "launch", lambda _self, _name: None)
    for counts_asked, asked, given_up in (
        (True, False, True),
        (True, True, True),
        (False, True, False),
        (False, False, True),
    ):
        engine = Engine(load_settings(state_dir=tmp_path), tmp_path / "logs", 1)
        engine.counts_asked = counts_asked
        for number in range(RESTARTS_MAX + 1):
            assert engine.given_up == ""
            process = subprocess.Popen(["true"])
            process.wait()
            if asked:
                engine.expect(process.pid)
            engine._running["worker-0"] = process
            engine._followed("worker-0", process, -9)
            assert number < RESTARTS_MAX or bool(engine.given_up) == given_up
        faults = Faults(1)
        judge_ends(engine, faults, 0)
        assert any("shipped supervisor" in each for each in faults.failures) == given_up


def ended(engine_folder: Path, *ends: Ended) -> Engine:
    """An engine whose processes ended so."""
    engine = Engine(load_settings(state_dir=engine_folder), engine_folder / "logs", 1)
    engine.ended = [*ends]
    return engine


def test_only_a_brokers_death_explains_an_end(tmp_path: Path) -> None:
    """With the broker's code, no more often than places were lost; all else fails."""
    lost, other = Ended("worker-0", 3, "reading the inputs: _FATAL"), Ended("worker-1", -11, "")
    faults = Faults(1)
    judge_ends(ended(tmp_path, lost, other, lost, lost), faults, 2)
    said = "worker-0 ended by itself with 3: reading the inputs: _FATAL"
    assert [f"{said}; started again"] * 2 == faults.notes
    assert ["worker-1 ended by itself with -11", said] == faults.failures
    none = Faults(1)
    judge_ends(ended(tmp_path, lost), none, 0)
    assert [said] == none.failures
