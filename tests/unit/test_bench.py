"""The benchmarks run, small, so that they keep running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_pipeline_bench_accounts_for_every_stage() -> None:
    """Each application is decided, and the stages add up to the total."""
    command = [sys.executable, "bench/pipeline.py"]
    small = ["--applications", "200", "--rounds", "1", "--batch", "64", "--json"]
    run = subprocess.run([*command, *small], cwd=ROOT, capture_output=True, check=True, text=True)
    found = json.loads(run.stdout)
    expected = (200, 64, 1)
    assert expected == (found["decided"], found["batch"], found["rounds"])
    stages = ["decode", "admit", "enrich", "score", "decide", "encode", "apply"]
    assert stages == list(found["stages_us"])
    assert abs(found["total_us"] - sum(found["stages_us"].values())) < 0.1
