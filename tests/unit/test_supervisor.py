"""The supervisor ends what it started within the one deadline, and says what it had to kill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from stream.config import load_settings
from stream.edge.signals import Stop
from stream.edge.supervisor import Supervisor
from stream.errors import Exit

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
HEARS = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit({}))"
WAIT = "; print(flush=True); time.sleep(60)"


def _drained(folder: Path, child: str, seconds: float) -> tuple[int | None, list[str]]:
    """What a supervisor of this child comes to, told to stop, and the events it logged."""
    supervisor = Supervisor(load_settings(state_dir=folder))
    process = subprocess.Popen(
        [sys.executable, "-c", child + WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    supervisor._children = {"worker-0": process}
    stop = Stop(seconds)
    stop.set()
    with structlog.testing.capture_logs() as lines:
        supervisor._log = structlog.get_logger()
        supervisor._drain(stop)
    process.stdout.close()
    assert process.poll() is not None
    return supervisor._failed, [f"{line['event']}: {line.get('fix', '')}" for line in lines]


def test_a_worker_that_has_to_be_killed_is_no_clean_end(tmp_path: Path) -> None:
    """The exit code is not 0, and the log line says what to do."""
    failed, lines = _drained(tmp_path, DEAF, 0.2)
    assert failed == Exit.FAILED
    assert len(lines) == 1
    assert lines[0].startswith("process_killed: ")
    assert "start it again" in lines[0]


@pytest.mark.parametrize(("code", "failed"), [(0, None), (3, 3)])
def test_a_worker_that_ends_by_itself_is_taken_at_its_word(
    tmp_path: Path, code: int, failed: int | None
) -> None:
    """0 is a clean end; a fault of its last batch is the engine's fault too."""
    assert (failed, []) == _drained(tmp_path, HEARS.format(code), 60.0)
