"""`tenminute train`: build the segment models from real loans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from stream.errors import ConfigError
from stream.lab.extra import train_extra
from stream.lab.recipe import RECIPES, Recipe

if TYPE_CHECKING:
    from stream.lab.search import Tried


def chosen_recipes(model: str | None, *, all_models: bool) -> list[Recipe]:
    """The recipes asked for, or a ConfigError that lists the choices."""
    if all_models and model is None:
        return list(RECIPES.values())
    if model is None or all_models or model not in RECIPES:
        raise ConfigError(
            "exactly one known model, or --all, is expected",
            fix=f"name one of {', '.join(RECIPES)} or pass --all",
        )
    return [RECIPES[model]]


def _told(tried: Tried) -> str:
    mark = " (the recipe's)" if tried.taken else ""
    return (
        f"{tried.model_id}: {tried.trees} trees, {tried.leaves} leaves, rate "
        f"{tried.learning_rate:g}, {tried.min_leaf_rows} rows a leaf, L2 {tried.l2:g}: log loss "
        f"{tried.log_loss:.5f}, AUC {tried.auc:.5f}{mark}"
    )


def train(
    model: Annotated[str | None, typer.Argument(help="farmer, merchant or consumer")] = None,
    *,
    all_models: Annotated[bool, typer.Option("--all", help="Build every model.")] = False,
    data: Annotated[Path, typer.Option(help="Folder that holds sba/.")] = Path("../shared/data"),
    out: Annotated[Path, typer.Option(help="Where model folders go.")] = Path("models/onnx"),
    inventory: Annotated[
        Path | None, typer.Option(help="Then write the inventory of all models to this file.")
    ] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Measure the declared shapes; write no model.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per model.")] = False,
) -> None:
    """Train models and write model, manifest, golden rows and card.

    Before training, inputs are hunted for leaks; a mark that the recipe does not answer ends it.
    A model beyond the lines of `stream/scoring/gate.py` is not written. The exit code is then 4.

    Example: tenminute train --all --inventory docs/model-inventory.md
    """
    recipes = chosen_recipes(model, all_models=all_models)
    with train_extra("training needs"):
        from stream.lab.build import STEPS, build_model, write_model
        from stream.lab.inventory import inventory as write_inventory
        from stream.lab.inventory import load_all
        from stream.lab.search import searched
        from stream.scoring.gate import check_gate
    if search:
        for tried in (tried for recipe in recipes for tried in searched(recipe, data)):
            typer.echo(msgspec.json.encode(tried).decode() if as_json else _told(tried))
        return
    console = Console(stderr=True)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("train", total=STEPS * len(recipes))
        for recipe in recipes:

            def step(name: str, model_id: str = recipe.model_id) -> None:
                bar.update(task, advance=1, description=f"{model_id}: {name}")

            manifest, files = build_model(recipe, data, step)
            check_gate(manifest)
            folder = out / recipe.model_id / recipe.version
            write_model(folder, files)
            held_out = manifest.metrics.held_out
            typer.echo(
                msgspec.json.encode({"folder": str(folder), "metrics": manifest.metrics}).decode()
                if as_json
                else f"{folder}: AUC {held_out.auc:.4f}, KS {held_out.ks:.4f} on "
                f"{held_out.rows:,} held-out rows"
            )
    if inventory is not None:
        inventory.write_text(write_inventory(load_all(out)), "utf-8")
        typer.echo(f"{inventory}: written", err=True)
