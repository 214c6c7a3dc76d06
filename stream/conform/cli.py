"""`tenminute conform`: prove a consumer or a publisher before it meets the engine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import orjson
import typer
from rich.console import Console

from stream.config import load_settings
from stream.conform.verdict import Finding, as_document, exit_of, table_of
from stream.errors import ConfigError

conform_app = typer.Typer(
    no_args_is_help=True,
    help="Test another team's consumer or publisher on topics of the test's own.",
    epilog="Example: tenminute conform disbursement --bootstrap 127.0.0.1:9092",
)
Bootstrap = Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")]
Config = Annotated[Path | None, typer.Option(help="Settings file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@conform_app.command(
    epilog="Example: tenminute conform disbursement --bootstrap 127.0.0.1:9092 "
    "--restart-command 'sh restart-payer.sh'"
)
def disbursement(
    bootstrap: Bootstrap = None,
    config: Config = None,
    decisions_topic: Annotated[
        str, typer.Option(help="Where decisions are played.")
    ] = "conform.decisions",
    outcomes_topic: Annotated[
        str, typer.Option(help="Where the consumer announces.")
    ] = "conform.outcomes",
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this: plain, aborted, open, repeat, stages, late, odd, burst, restart, "
            "unknown. May be given again."
        ),
    ] = None,
    restart_command: Annotated[
        str | None,
        typer.Option(
            help="Kills the consumer if it runs and starts it, at once and at two moments; "
            "without it you are asked to."
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Longest wait without an outcome, s.")] = 90,
    burst: Annotated[int, typer.Option(min=1, help="Approvals in the burst.")] = 1_000,
    as_json: AsJson = False,
) -> None:
    """Play decisions to a disbursement consumer and check that each is paid as it must be.

    Exit codes: 0 every rule kept, 1 one broken, 2 configuration, 3 no broker.
    """
    from stream.conform.disbursement import conform_disbursement, scenes_named
    from stream.conform.stage import Plan
    from stream.conform.testtopics import refuse_real

    scenes = scenes_named(scenario or [])
    for topic in (decisions_topic, outcomes_topic):
        refuse_real(topic)
    if "restart" in scenes and restart_command is None and not sys.stdin.isatty():
        raise ConfigError(
            "nobody is at the terminal to restart the consumer",
            fix="give --restart-command, or name the other scenes with --scenario",
        )
    plan = Plan(
        decisions_topic, outcomes_topic, timeout, burst=burst, restart_command=restart_command
    )
    settings = load_settings(config, bootstrap=bootstrap)
    findings = conform_disbursement(settings, plan, scenes, _say, _pause)
    _report(findings, as_json=as_json)


@conform_app.command(
    epilog="Example: tenminute conform channel --bootstrap 127.0.0.1:9092 --count 200"
)
def channel(
    file: Annotated[
        Path | None, typer.Argument(help="Check a file instead, one application per line.")
    ] = None,
    *,
    bootstrap: Bootstrap = None,
    config: Config = None,
    topic: Annotated[
        str, typer.Option(help="Where the channel publishes.")
    ] = "conform.applications",
    count: Annotated[int, typer.Option(min=1, help="Records to look at.")] = 100,
    timeout: Annotated[float, typer.Option(min=1, help="Longest wait for them, s.")] = 60,
    from_start: Annotated[bool, typer.Option(help="Take what is on the topic already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at what a channel publishes and check every rule of the contract.

    Exit codes: 0 every rule kept, 1 one broken, 2 configuration, 3 no broker.
    """
    from stream.conform.channel import conform_file, conform_topic

    if file is not None:
        _report(conform_file(file), as_json=as_json)
    settings = load_settings(config, bootstrap=bootstrap)
    findings = conform_topic(settings, topic, count, timeout, _say, whole=from_start)
    _report(findings, as_json=as_json)


def _say(line: str) -> None:
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    notes.print(line, style="dim", markup=False)


def _pause(line: str) -> None:
    typer.prompt(f"{line}, then press Enter", default="", show_default=False, err=True)


def _report(findings: Sequence[Finding], *, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(orjson.dumps(as_document(findings)).decode())
    else:
        Console(highlight=False).print(table_of(findings))
    raise typer.Exit(exit_of(findings))
