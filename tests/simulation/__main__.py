"""`make simulate`: thousands of seeds, or one again: python -m simulation [--seed N]."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
from simulation.campaign import campaign, hunts
from simulation.report import page
from simulation.world import Simulation

RESULTS = Path(__file__).parents[2] / "bench" / "results"
REPLAYS = 10
console = Console()


def main() -> int:
    """Exit 0 when every promise was kept and every planted bug was found."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many seeds (10,000)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--seed", type=int, help="run this seed alone, ten times, and show it")
    asked = parser.parse_args()
    return _one(asked.seed) if asked.seed is not None else _many(asked.first, asked.seeds)


def _one(seed: int) -> int:
    """One seed, and whether it is the same run each time."""
    digests = set()
    for _ in range(REPLAYS):
        simulation = Simulation(seed)
        broken = simulation.run()
        digests.add(simulation.kernel.digest())
    for name, many in sorted(simulation.kernel.counts.items()):
        console.print(f"{many:>6}  {name}", highlight=False)
    for each in broken:
        console.print(f"[red]broken[/red]  {each}", highlight=False)
    same = "the same each time" if len(digests) == 1 else f"{len(digests)} DIFFERENT RUNS"
    console.print(f"seed {seed}, {REPLAYS} runs: {same}, trace {min(digests)}", highlight=False)
    return int(bool(broken) or len(digests) > 1)


def _many(first: int, seeds: int) -> int:
    with Progress(
        *Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn(),
        console=console,
    ) as progress:  # fmt: skip
        outcome, seconds = campaign(first, seeds, _ticking(progress, "seeds", seeds))
    found = hunts()
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    path = RESULTS / f"{date}-simulation.md"
    path.write_text(page(date, seeds, outcome, seconds, found), encoding="utf-8")
    for seed, broken in outcome.failures.items():
        console.print(f"[red]broken[/red]  make simulate SEED={seed}  {broken[0]}", highlight=False)
    missed = [hunt.name for hunt in found if hunt.seed is None]
    for name in missed:
        console.print(f"[red]missed[/red]  planted bug: {name}", highlight=False)
    console.print(
        f"{seeds:,} seeds in {seconds:.0f} s ({seeds / seconds:.0f}/s), "
        f"{len(outcome.failures)} broken, {len(found) - len(missed)}/{len(found)} planted bugs "
        f"found; {path.relative_to(RESULTS.parents[1])}",
        highlight=False,
    )
    return int(bool(outcome.failures or missed))


def _ticking(progress: Progress, what: str, total: int) -> Callable[[int], None]:
    task = progress.add_task(what, total=total)
    return lambda done: progress.advance(task, done)


if __name__ == "__main__":
    sys.exit(main())
