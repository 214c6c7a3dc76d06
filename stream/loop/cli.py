"""`tenminute loop`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.config import load_settings

Config = Annotated[Path | None, typer.Option("--config", help="TOML file of settings.")]


def loop(
    config: Config = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Log JSON lines on a terminal too.")
    ] = False,
) -> None:
    """Keep the funnel: submitted, decided, approved, paid within ten minutes.

    Example: tenminute loop --config tenminute.toml
    """
    from stream.loop.worker import run_loop

    run_loop(load_settings(config, log_json=as_json or None))
