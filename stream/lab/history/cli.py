"""`tenminute history`: real loans of the past decided again, with the guard and without."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from stream.lab.extra import train_extra


def history(
    *,
    data: Annotated[Path, typer.Option(help="Folder that holds sba/.")] = Path("../shared/data"),
    out: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("docs/images"),
    page: Annotated[Path, typer.Option(help="The page to write.")] = Path("docs/history.md"),
    first: Annotated[
        int | None, typer.Option(help="First year; by default as soon as enough is known.")
    ] = None,
    last: Annotated[int, typer.Option(max=2010, help="Last year.")] = 2010,
    draws: Annotated[
        int, typer.Option(min=1, help="Draws of the bad loans; 1 leaves other budgets out too.")
    ] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="All figures as JSON.")] = False,
) -> None:
    """Replay loans of 1999 to 2010 in the order of their approval, and write what came of it.

    Each year's model and list know only what had happened before that year.

    Example: tenminute history --data ../shared/data --out docs/images
    """
    with train_extra("the replay needs"):
        from stream.lab.history.loans import load
        from stream.lab.history.page import page as written
        from stream.lab.history.plots import pictures
        from stream.lab.history.run import Terms, run_history
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("read", total=None)
        replayed = run_history(
            load(data),
            Terms(first, last, draws),
            lambda what: bar.update(task, description=what),
        )
    out.mkdir(parents=True, exist_ok=True)
    for name, text in pictures(replayed).items():
        (out / name).write_text(text, "utf-8")
    page.parent.mkdir(parents=True, exist_ok=True)
    images = Path(os.path.relpath(out, page.parent)).as_posix()
    page.write_text(written(replayed.history, images), "utf-8")
    found = replayed.history
    away = found.turned_away
    typer.echo(
        msgspec.json.encode(found).decode()
        if as_json
        else f"{page}: the guard turned away {away.good_loans:,} good and {away.bad_loans:,} bad "
        f"loans; {away.lost_cents / 1e8:,.1f} million dollars were not charged off"
    )
