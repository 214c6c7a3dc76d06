"""`tenminute benchmark`: the engine's kind of model beside its rivals on public credit data."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from stream.errors import ConfigError
from stream.lab.extra import train_extra


def benchmark(
    name: Annotated[str | None, typer.Argument(metavar="SET", help="One set.")] = None,
    *,
    all_sets: Annotated[bool, typer.Option("--all", help="Run every set.")] = False,
    data: Annotated[Path, typer.Option(help="Folder of the credit sets.")] = Path("../shared/data"),
    out: Annotated[Path, typer.Option(help="Where results go.")] = Path("bench/results"),
    docs: Annotated[Path, typer.Option(help="Where models.md and plots go.")] = Path("docs"),
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day in the name; today if none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per set.")] = False,
) -> None:
    """Measure family-constrained trees, free trees and a scorecard on public credit sets.

    Example: tenminute benchmark heloc --data ../shared/data
    """
    with train_extra("the benchmark needs"):
        from stream.lab.benchmark.run import STEPS, measured
        from stream.lab.benchmark.sets import BENCHES
        from stream.lab.benchmark.trial import FAMILY, SCORECARD, UNCONSTRAINED
        from stream.lab.benchmark.write import write
    if (name is None) != all_sets or (name is not None and name not in BENCHES):
        raise ConfigError(
            "exactly one known set, or --all, is expected",
            fix=f"name one of {', '.join(BENCHES)} or pass --all",
        )
    day = (on or datetime.now(UTC)).date()
    chosen = list(BENCHES.values()) if name is None else [BENCHES[name]]
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("benchmark", total=STEPS * len(chosen))
        for bench in chosen:

            def step(what: str, of: str = bench.name) -> None:
                bar.update(task, advance=1, description=f"{of}: {what}")

            outcome = measured(bench, data, step)
            write([outcome], out, docs, day)
            split = outcome.splits[0]
            family, free, card = (
                split.models[model].auc for model in (FAMILY, UNCONSTRAINED, SCORECARD)
            )
            typer.echo(
                msgspec.json.encode(outcome).decode()
                if as_json
                else f"{bench.name}: AUC {family:.4f} with families, {free:.4f} without, "
                f"{card:.4f} scorecard; cost {split.cost.auc:+.4f} "
                f"({split.cost.low:+.4f} to {split.cost.high:+.4f})"
            )
