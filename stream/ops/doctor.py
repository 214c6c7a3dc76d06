"""`tenminute doctor`: every part an engine stands on, looked at once, with what to do.

No check stops the next one, so that one run tells everything there is to mend.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from stream.config import Settings, load_settings
from stream.errors import Exit, FatalError
from stream.ops import doctor_kafka, doctor_keys, doctor_local, doctor_models
from stream.ops.doctor_keys import Remark


class Finding(NamedTuple):
    """One check's result: `code` is the exit code it asks for, `fix` what to do, if anything.

    With a `fix` and exit code 0 the engine runs as it is, and lacks what the fix would give it.
    """

    check: str
    detail: str
    fix: str
    code: Exit


Check = Callable[[Settings], str | Iterable[Remark]]

HERE: tuple[tuple[str, Check], ...] = (
    ("python", doctor_local.python),
    ("disk", doctor_local.disk),
    ("policy", doctor_local.policy),
    ("models", doctor_local.models),
    ("schemas", doctor_local.schemas),
    ("control key", doctor_keys.control_keys),
    ("letter key", doctor_keys.letter_keys),
)
THERE: tuple[tuple[str, Check], ...] = (
    ("topics", doctor_kafka.topics),
    ("store", doctor_kafka.store),
    ("commands", doctor_keys.commands),
    ("commanded models", doctor_models.commanded),
)


def doctor(
    *,
    config: Annotated[Path | None, typer.Option(help="Configuration file.")] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Check all an engine stands on, and which commands are in force; say what to mend.

    Looked at are Python, disk, policy, models, schemas, keys, broker, topics, store and the
    models that commands put into a place.
    Exits with the code of the worst finding: 4 model, 3 broker, 2 configuration, 1 other.

    Example: tenminute doctor --config tenminute.toml
    """
    findings = examine(load_settings(config, bootstrap=bootstrap))
    if json_output:
        rows = [each._asdict() | {"ok": each.code == Exit.OK} for each in findings]
        typer.echo(json.dumps(rows))
    else:
        Console(highlight=False).print(table_of(findings))
    raise typer.Exit(max(each.code for each in findings))


def examine(settings: Settings) -> list[Finding]:
    """All findings, in the order an engine needs the parts."""
    findings = [found for name, check in HERE for found in _findings(name, check, settings)]
    answer = _findings("broker", doctor_kafka.broker, settings)
    findings += answer
    if answer[0].code == Exit.OK:
        return findings + [f for name, check in THERE for f in _findings(name, check, settings)]
    fix = "mend the broker first"
    return [
        *findings,
        Finding("topics", "not looked at: no broker", fix, Exit.BROKER),
        *_findings("store", doctor_kafka.store_alone, settings),
        Finding("commands", "not looked at: no broker", fix, Exit.BROKER),
        Finding("commanded models", "not looked at: no broker", fix, Exit.BROKER),
    ]


def table_of(findings: list[Finding]) -> Table:
    """A row for each finding, with the fix beneath what is wrong."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for each in findings:
        table.add_row(_mark(each), each.check, each.detail.replace("[", r"\["))
        if each.fix:
            table.add_row("", "", f"[yellow]fix:[/] {each.fix}".replace(" [", r" \["))
    return table


def _mark(finding: Finding) -> str:
    if finding.code != Exit.OK:
        return "[red]✗[/]"
    return "[yellow]![/]" if finding.fix else "[green]✓[/]"


def _findings(name: str, check: Check, settings: Settings) -> list[Finding]:
    try:
        said = check(settings)
        remarks = [Remark(said)] if isinstance(said, str) else list(said)
    except FatalError as error:
        return [Finding(name, error.message, error.fix, error.exit_code)]
    return [Finding(name, each.detail, each.fix, Exit.OK) for each in remarks]
