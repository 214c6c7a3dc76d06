"""Two checkouts of this project in turns: python bench/compare.py --before PATH [--rounds 8].

Each decides the applications of `bench/pipeline.py` in a process of its own, one
round at a time, before-after-after-before, so that both meet the same neighbours
on a shared machine. The ratio of two figures of one run can be trusted where the
figures themselves cannot. `--before` is another working copy, such as
`git worktree add /tmp/before <commit>` makes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROUNDS = """
import json, sys, tempfile
from pathlib import Path
from bench import pipeline as bench

cases = bench.load_loans(bench.Run(now_ms=bench.NOW_MS, seed=bench.SEED))[: int(sys.argv[1])]
records = bench.records_of(cases)
settings = bench.load_settings()
policy = bench.load_policy(settings.policy_file)
pipeline = bench.Pipeline(bench.load_models(settings.models_dir, policy.models), policy)
with tempfile.TemporaryDirectory() as place:
    bench.fill(Path(place), cases)
    bench.settle_down()
    with bench.StoreReader(Path(place)) as store:
        for line in sys.stdin:
            made = bench.one_round(pipeline, store, records, int(line))
            us = {name: spent / made.decided * 1e6 for name, spent in made.seconds.items()}
            print(json.dumps([made.decided, made.approved, us]), flush=True)
"""
"""What each side runs, with its own code: a round for each line, which is the batch size."""


class Side:
    """One checkout, deciding a round when asked."""

    def __init__(self, checkout: Path, applications: int) -> None:
        """Start it; it loads while nobody waits."""
        self.rounds: list[dict[str, float]] = []
        self.decided: tuple[int, int] = (0, 0)
        self._process = subprocess.Popen(
            [sys.executable, "-c", ROUNDS, str(applications)],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def go(self, batch: int, *, counts: bool = True) -> None:
        """One round."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise AssertionError("both ends are pipes")
        stdin.write(f"{batch}\n")
        stdin.flush()
        decided, approved, stages_us = json.loads(stdout.readline())
        self.decided = decided, approved
        if counts:
            self.rounds.append(stages_us)

    def end(self) -> None:
        """No more rounds."""
        self._process.communicate()

    def totals_us(self) -> list[float]:
        """All stages together, of each round."""
        return [sum(stages.values()) for stages in self.rounds]


class Line(NamedTuple):
    """A figure of both sides."""

    name: str
    before: float
    after: float

    def __str__(self) -> str:
        """As a row of the result file."""
        ratio = self.before / self.after
        return f"| {self.name} | {self.before:.1f} | {self.after:.1f} | {ratio:.2f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Microseconds per decision, before and after.")
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, default=Path.cwd())
    parser.add_argument("--applications", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    before, after = (Side(p.resolve(), given.applications) for p in (given.before, given.after))
    for side in (before, after):
        side.go(given.batch, counts=False)
    for number in range(given.rounds):
        for side in (before, after) if number % 2 == 0 else (after, before):
            side.go(given.batch)
    for side in (before, after):
        side.end()
    if before.decided != after.decided:
        sys.exit(f"decided and approved differ: {before.decided} before, {after.decided} after")
    lines = [
        Line(stage, *(min(each[stage] for each in side.rounds) for side in (before, after)))
        for stage in after.rounds[0]
    ]
    lines.append(Line("cheapest round", min(before.totals_us()), min(after.totals_us())))
    lines.append(Line("median round", *(statistics.median(s.totals_us()) for s in (before, after))))
    print("| stage | before | after | ratio |\n|---|---|---|---|")
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
