"""`tenminute benchmark`: the engine's kind of model beside its rivals on public credit data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.progress import Progress

from stream.errors import ConfigError
from stream.lab.extra import train_extra
from stream.lab.recipe import RECIPES

if TYPE_CHECKING:
    from stream.lab.benchmark.figures import Difference


def benchmark(
    name: Annotated[str | None, typer.Argument(metavar="SET", help="One set or model.")] = None,
    *,
    all_sets: Annotated[bool, typer.Option("--all", help="Every set and recipe.")] = False,
    data: Annotated[Path, typer.Option(help="Folder of the credit sets.")] = Path("../shared/data"),
    out: Annotated[Path, typer.Option(help="Where results go.")] = Path("bench/results"),
    docs: Annotated[Path, typer.Option(help="Where models.md and plots go.")] = Path("docs"),
    on: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day in the name; today if none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object each.")] = False,
) -> None:
    """Measure family-constrained trees, free trees and a scorecard on public credit sets.

    Example: tenminute benchmark heloc --data ../shared/data
    """
    with train_extra("the benchmark needs"):
        from stream.lab.benchmark import shipped
        from stream.lab.benchmark.run import STEPS, measured
        from stream.lab.benchmark.sets import BENCHES
        from stream.lab.benchmark.trial import FAMILY, UNCONSTRAINED
        from stream.lab.benchmark.write import write
    known = (*BENCHES, *RECIPES)
    if (name is None) != all_sets or (name is not None and name not in known):
        raise ConfigError(
            "exactly one known set or model, or --all, is expected",
            fix=f"name one of {', '.join(known)} or pass --all",
        )
    day = (on or datetime.now(UTC)).date()
    benches = [bench for key, bench in BENCHES.items() if name in {None, key}]
    recipes = [recipe for key, recipe in RECIPES.items() if name in {None, key}]

    def tell(encoded: Struct, title: str, cost: Difference, aucs: tuple[float, float]) -> None:
        typer.echo(
            msgspec.json.encode(encoded).decode()
            if as_json
            else f"{title}: AUC {aucs[0]:.4f} constrained, {aucs[1]:.4f} unconstrained; cost "
            f"{cost.auc:+.4f} ({cost.low:+.4f} to {cost.high:+.4f})"
        )

    with Progress(console=Console(stderr=True), transient=True) as bar:
        steps = STEPS * len(benches) + shipped.STEPS * len(recipes)
        task = bar.add_task("benchmark", total=steps)

        def stepper(of: str) -> Callable[[str], None]:
            return lambda what: bar.update(task, advance=1, description=f"{of}: {what}")

        for recipe in recipes:
            found = shipped.shipped(recipe, data, stepper(recipe.model_id))
            write([], [found], out, docs, day)
            title = f"{found.model_id} {found.version}"
            tell(found, title, found.cost, (found.family.auc, found.free.auc))
        for bench in benches:
            outcome = measured(bench, data, stepper(bench.name))
            write([outcome], [], out, docs, day)
            split = outcome.splits[0]
            aucs = split.models[FAMILY].auc, split.models[UNCONSTRAINED].auc
            tell(outcome, bench.name, split.cost, aucs)
