"""`tenminute topics`: list, compare and apply the declared topics."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from stream.config import Settings, load_settings
from stream.errors import Exit
from stream.ops import topics
from stream.ops.options import AsJson, Bootstrap, Config

topics_app = typer.Typer(
    no_args_is_help=True,
    help="The declared topics of the engine.",
    epilog="Example: tenminute topics diff --bootstrap 127.0.0.1:9092",
)


def _settings(config: Path | None, bootstrap: str | None) -> Settings:
    return load_settings(config, bootstrap=bootstrap)


def _show(rows: list[dict[str, str]], nothing: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows))
        return
    console = Console(soft_wrap=True)
    if not rows:
        console.print(nothing)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*row.values())
    console.print(table)


@topics_app.command("list", epilog="Example: tenminute topics list --json")
def list_topics(config: Config = None, as_json: AsJson = False) -> None:
    """Show the topics as declared."""
    settings = load_settings(config)
    rows = [
        {
            "topic": topic.name,
            "partitions": str(topics.partitions_of(topic, settings.partitions)),
            **{key: topic.configs.get(key, "") for key in ("cleanup.policy", "retention.ms")},
        }
        for topic in topics.TOPICS
    ]
    _show(rows, "no topics are declared", as_json=as_json)


@topics_app.command(epilog="Example: tenminute topics apply --bootstrap 127.0.0.1:9092")
def apply(config: Config = None, bootstrap: Bootstrap = None, as_json: AsJson = False) -> None:
    """Create what is missing and set drifted settings back."""
    settings = _settings(config, bootstrap)
    changes = topics.apply(
        settings.bootstrap, partitions=settings.partitions, replication=settings.replication
    )
    rows = [change._asdict() for change in changes]
    _show(rows, "every topic is as declared", as_json=as_json)


@topics_app.command(epilog="Example: tenminute topics diff; exits 1 when anything differs")
def diff(config: Config = None, bootstrap: Bootstrap = None, as_json: AsJson = False) -> None:
    """Show how the broker's topics differ from the declaration."""
    settings = _settings(config, bootstrap)
    drifts = topics.diff(
        settings.bootstrap, partitions=settings.partitions, replication=settings.replication
    )
    rows = [drift._asdict() for drift in drifts]
    _show(rows, "every topic is as declared", as_json=as_json)
    raise typer.Exit(Exit.FAILED if drifts else Exit.OK)
