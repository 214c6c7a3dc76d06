"""The fuzzer runs, and ten seconds of it find nothing; `make fuzz` looks for ten minutes."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest
from fuzz.run import fuzz, write_seeds

BUILT = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 15)


@pytest.mark.skipif(not BUILT, reason="atheris has no wheel for this platform: x86-64 Linux only")
def test_ten_seconds_of_fuzzing_find_nothing(tmp_path: Path) -> None:
    """No crash, no wrong answer and no slow input, on inputs that reach far into the code."""
    seeds, findings = tmp_path / "seeds", tmp_path / "findings"
    seeds.mkdir()
    findings.mkdir()
    assert write_seeds(seeds) > 500
    found = fuzz(10, seeds, findings)
    assert found.findings == [], found.log[-4_000:]
    assert found.executions > 500
    assert found.edges > 100
    assert found.slowest_ms < 100
