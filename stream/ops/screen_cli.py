"""`tenminute screen`."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from stream.config import load_settings
from stream.errors import ConfigError
from stream.ops.options import AsJson, Bootstrap, Config


def screen(
    config: Config = None,
    bootstrap: Bootstrap = None,
    parquet: Annotated[
        Path | None, typer.Option(help="First publish the profiles of this Parquet file.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Stop when the profiles have been read to their end.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Screen customer profiles: who is on the whitelist, and at what limit and price.

    One process of a consumer group: start more of them to go faster. With another model or
    policy everybody is screened again. Example: tenminute screen --parquet people.parquet --once
    """
    from stream.edge.signals import stop_event
    from stream.ops.screen import ScreenWorker, closing_figures

    settings = load_settings(config, bootstrap=bootstrap)
    published = 0
    if parquet is not None:
        with _bar("Publishing", quiet=as_json) as progress:
            published = _bulk()(settings, parquet, progress)
    stop, started, cpu = stop_event(), time.monotonic(), time.process_time()
    with closing(ScreenWorker(settings)) as worker, _bar("Screening", quiet=as_json) as progress:
        worker.run(stop, progress, once=once)
        counts = Counter(worker.counts)
    found = closing_figures(counts, time.monotonic() - started, time.process_time() - cpu)
    _show({"published": published, **found}, as_json=as_json)


def _bulk() -> Callable[..., int]:
    try:
        from stream.ops.screen_bulk import publish_parquet
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--parquet needs the package {error.name}", fix="pip install 'ten-minute-loan[bulk]'"
        ) from None
    return publish_parquet


@contextmanager
def _bar(label: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left on a terminal's error stream; nothing with --json."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
        return
    reasons = found.pop("not_listed")
    for name, value in found.items():
        typer.echo(f"{name.replace('_', ' '):22} {value:>14,}" if value is not None else name)
    for reason, count in sorted(reasons.items(), key=lambda pair: -pair[1]):
        typer.echo(f"  not listed: {reason:22} {count:>10,}")
