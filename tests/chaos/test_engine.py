"""The harness's own supervisor: what a restart cannot mend it does not start again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from chaos.engine import Engine

from stream.config import load_settings

WAIT_SECONDS_MAX = 60.0


def test_a_worker_that_refuses_its_settings_ends_the_scenario(tmp_path: Path) -> None:
    """One line names its log at once; nobody waits for it to become ready."""
    engine = Engine(load_settings(state_dir=tmp_path), tmp_path / "logs", 1)
    # Ends with 2, a wrong setting, as it cannot read a file named "worker".
    engine.parts["worker-0"] = ("json.tool", {})
    engine.launch("worker-0")
    engine.watch()
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not engine.given_up:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    engine.stop()
    with pytest.raises(AssertionError, match=r"worker-0 ended with 2: see .*worker-0\.log"):
        engine.await_ready(["worker-0"])
