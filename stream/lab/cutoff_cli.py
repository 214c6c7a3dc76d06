"""`tenminute cutoff`: what the data allows under a budget for the bad rate by amount."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from stream.errors import ConfigError, Exit
from stream.lab.cli import chosen_recipes
from stream.lab.extra import train_extra

if TYPE_CHECKING:
    from stream.lab.cutoff import Choice, Step

WIDTH = 80
POLICY = Path(__file__).parents[1] / "policy" / "policy.toml"


def cutoff(
    segment: Annotated[str | None, typer.Argument(help="farmer, merchant or consumer")] = None,
    *,
    all_segments: Annotated[bool, typer.Option("--all", help="Every segment.")] = False,
    budget: Annotated[
        float, typer.Option(min=0.0001, max=0.9, help="Largest share of the amount that goes bad.")
    ] = 0.005,
    outcomes: Annotated[
        Path | None, typer.Option(help="CSV of your own loans: points, amount_fen, bad.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder that holds sba/.")] = Path("../shared/data"),
    models: Annotated[Path, typer.Option(help="Folder of the models.")] = Path("models/onnx"),
    funding_bps: Annotated[
        int, typer.Option(min=0, max=10_000, help="Cost of money a year.")
    ] = 300,
    loss: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of a bad loan lost.")] = 0.73,
    policy: Annotated[Path, typer.Option(help="The policy to start from.")] = POLICY,
    policy_id: Annotated[str | None, typer.Option(help="Id of the policy written.")] = None,
    write: Annotated[Path | None, typer.Option(help="Write the policy to this file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace that file.")] = False,
    plots: Annotated[Path | None, typer.Option(help="Folder for a plot of each segment.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per segment.")] = False,
) -> None:
    """Choose cut-offs, limits and prices that keep a budget; exit 1 where none does.

    The loss of 0.73 is what was charged off of 15,450 failed SBA loans, by amount approved.

    Example: tenminute cutoff merchant --budget 0.05 --write policy-new.toml
    """
    recipes = chosen_recipes(segment, all_models=all_segments)
    if outcomes is not None and len(recipes) > 1:
        raise ConfigError("--outcomes holds the loans of one segment", fix="name the segment")
    with train_extra("cut-offs need"):
        from stream.lab import cutoff as method
        from stream.lab.cutoff_policy import rewritten, write_policy
        from stream.lab.plots import approval_svg
        from stream.lab.portfolio import from_file, held_out
    from stream.policy.load import load_policy, parse_policy
    from stream.scoring.manifest import load_manifest

    load_policy(policy)
    raw, terms = policy.read_bytes(), method.Terms(funding_bps, loss)
    choices = []
    for recipe in recipes:
        manifest = load_manifest(models / recipe.model_id / recipe.version)
        loans = (
            held_out(recipe, manifest, data)
            if outcomes is None
            else from_file(outcomes, recipe.segment, manifest.scaling)
        )
        choice = method.choose(loans, parse_policy(raw, policy), budget, terms)
        if outcomes is None:
            choice = msgspec.structs.replace(choice, caveats=manifest.caveats)
        choices.append(choice)
        typer.echo(msgspec.json.encode(choice).decode() if as_json else "\n".join(_lines(choice)))
        if plots is not None:
            plots.mkdir(parents=True, exist_ok=True)
            (plots / f"cutoff-{choice.segment}.svg").write_text(approval_svg(choice), "utf-8")
    without = [choice.segment.value for choice in choices if choice.chosen is None]
    if without and write is not None:
        typer.echo(f"nothing was written: no cut-off for {', '.join(without)}", err=True)
    if without:
        raise typer.Exit(Exit.FAILED)
    if write is not None:
        name = (
            policy_id or f"cutoff-{hashlib.sha256(raw + repr(choices).encode()).hexdigest()[:12]}"
        )
        write_policy(write, rewritten(raw, choices, name, write), force=force)
        typer.echo(f"{write}: policy {name} written; it is in force nowhere yet", err=True)


def _lines(choice: Choice) -> Iterator[str]:
    """The table of a segment in at most 80 columns, then what is chosen or why nothing is."""
    yield f"{choice.segment.value}: {choice.loans:,} loans, {choice.source}"
    yield f"budget {choice.budget:.2%} of the amount lent; intervals of 95 % for all rows together"
    yield ""
    yield "  cut-off    loans  approved  of amount      pd  went bad          interval"
    for step in choice.steps:
        mark = "→" if step == choice.chosen else " "
        interval = f"{step.bad.low:6.2%} to {step.bad.high:6.2%}"
        yield (
            f"{mark} {step.cut_off_points:7}  {step.loans:7,}  {step.approved:8.1%}  "
            f"{step.approved_amount:9.1%}  {step.expected:6.2%}  {step.bad.value:8.2%}  "
            f"{interval}"
        )
    yield ""
    yield from _verdict(choice)
    yield ""
    for caveat in choice.caveats:
        yield fill(f"Mind: {caveat}.", WIDTH, subsequent_indent="  ")
    if choice.caveats:
        yield ""


def _figure(step: Step) -> str:
    return f"{step.bad.value:.2%} ({step.bad.low:.2%} to {step.bad.high:.2%})"


def _verdict(choice: Choice) -> Iterator[str]:
    if choice.chosen is None:
        low = choice.lowest
        yield f"No cut-off keeps the bad rate by amount within {choice.budget:.2%}. None is chosen."
        yield (
            f"The closest is {low.cut_off_points}: {_figure(low)}, pd {low.expected:.2%}, "
            f"on {low.loans:,} loans."
        )
        yield (
            f"Whatever the model, showing {choice.budget:.2%} takes {choice.loans_needed:,} loans "
            "of one size, none bad."
        )
        return
    yield f"Cut-off {choice.chosen.cut_off_points}: bad rate by amount {_figure(choice.chosen)}."
    yield ""
    yield "  band       points           limit      pd   rate at least  price tier"
    for band in choice.bands:
        points = f"{band.points_from} to {band.points_to}"
        yield (
            f"  {band.name:4}  {points:>11}  {band.limit_fen / 100:14,.2f}  {band.pd:6.2%}  "
            f"{band.apr_min_bps / 100:12.2f} %  {band.price_tier or 'none is dear enough'}"
        )
