"""The options that every verb on a broker has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document for machines.")]
Bootstrap = Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")]
Config = Annotated[Path | None, typer.Option(help="Settings file.")]
