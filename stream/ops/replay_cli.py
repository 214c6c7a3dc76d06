"""`tenminute replay`: decide again from the audit alone, and compare the bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.config import load_settings
from stream.errors import ConfigError


def replay(
    application: Annotated[str | None, typer.Option(help="One application, by its id.")] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="One partition.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every decision.")] = False,
    file: Annotated[Path | None, typer.Option(help="Read an export instead of Kafka.")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file.")] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Decide again from audit records alone: bit-identical, or which field differs; then exit 1.

    Decisions of another policy or model are counted, not compared: name those
    files in the settings; exit 2 when there are any.

    Example: tenminute replay --application app-20261124-0001
    """
    from stream.ops.replay import Wanted, run

    if (application is not None) + (partition is not None) + everything != 1:
        raise ConfigError("what is to be replayed?", fix="give --application, --partition or --all")
    settings = load_settings(config, bootstrap=bootstrap)
    code = run(settings, Wanted(application, partition, file, bootstrap), as_json=as_json)
    raise typer.Exit(code)
