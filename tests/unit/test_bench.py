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


def test_two_checkouts_are_compared_in_turns_by_what_they_decide_and_cost() -> None:
    """The same code on both sides decides the same, and every stage has a ratio."""
    command = [sys.executable, "bench/compare.py", "--before", str(ROOT)]
    small = ["--applications", "100", "--rounds", "1"]
    run = subprocess.run([*command, *small], cwd=ROOT, capture_output=True, check=True, text=True)
    names = [line.split("|")[1].strip() for line in run.stdout.splitlines()[2:]]
    stages = ["decode", "admit", "enrich", "score", "decide", "encode", "apply"]
    assert [*stages, "cheapest round", "median round"] == names


def test_the_replay_bench_makes_its_export_decides_again_and_asks_what_if(tmp_path: Path) -> None:
    """So many decisions, all of which match, and nobody is swapped."""
    command = [sys.executable, "bench/replay.py", str(tmp_path / "audit.jsonl")]
    small = ["--decisions", "300", "--workers", "1"]
    run = subprocess.run([*command, *small], cwd=ROOT, capture_output=True, check=True, text=True)
    replay, what_if = map(json.loads, run.stdout.splitlines())
    assert (replay["records"], replay["verdicts"]["match"]) == (300, 300)
    groups = what_if["groups"]
    assert {"all", "consumer"} == set(groups)
    swaps = [groups["all"][name]["count"] for name in ("swapped_in", "swapped_out", "resized")]
    assert (what_if["decisions"], swaps) == (300, [0, 0, 0])


def test_the_bench_of_trials_judges_a_harmless_and_a_harmful_challenger(tmp_path: Path) -> None:
    """Each world is told with its figures, and both plots are drawn."""
    command = [sys.executable, "bench/trials.py", "--trials", "1", "--out", str(tmp_path)]
    only = ["--only", "20 "]
    run = subprocess.run([*command, *only], cwd=ROOT, capture_output=True, check=True, text=True)
    found = [json.loads(line) for line in run.stdout.splitlines()]
    expected = [
        ("same model, 20 %", True, 1),
        ("approves 20 points more", False, 1),
        ("drawn at 24 % for 20 %", False, 1),
    ]
    assert expected == [(each["world"], each["harmless"], each["trials"]) for each in found]
    plots = {each.name for each in tmp_path.iterdir()}
    assert plots == {"trials-harm.svg", "trials-null.svg"}


def test_the_bench_of_families_scores_every_model_both_ways() -> None:
    """Both sum to the same score, or it fails; each stretch has its two times and their ratio."""
    command = [sys.executable, "bench/families.py"]
    small = ["--rows", "60", "--rounds", "2", "--json"]
    run = subprocess.run([*command, *small], cwd=ROOT, capture_output=True, check=True, text=True)
    models = json.loads(run.stdout)["models"]
    assert list(models) == ["farmer", "merchant", "consumer"]
    for stretches in models.values():
        assert list(stretches) == ["trees", "score", "record"]
        for each in stretches.values():
            assert each["added"] == each["families_us"] / each["alone_us"] - 1.0
