"""`tenminute control`: stop and resume approvals, set breaker limits, see what is in force."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from stream.config import load_settings
from stream.domain.application import Channel, Segment
from stream.domain.control import EVERYTHING, Action, Scope
from stream.edge.key_pairs import OPERATOR
from stream.errors import ConfigError
from stream.ops import control
from stream.ops.commanding import (
    By,
    Giving,
    Reason,
    Seconds,
    Wait,
    Workers,
    Yes,
    require_topics,
    tell,
)
from stream.ops.control_show import lines, print_rows, rows_of
from stream.ops.options import AsJson, Bootstrap, Config

control_app = typer.Typer(
    no_args_is_help=True,
    help="Stop approvals now; every worker acknowledges. Commands are signed.",
    epilog="Example: tenminute control stop --segment farmer --reason 'price error' "
    "--key-file control.key --wait",
)
KeyFile = Annotated[Path, typer.Option(help="Private key that signs the command.")]
OfSegment = Annotated[Segment | None, typer.Option("--segment", help="One kind of customer.")]
OfChannel = Annotated[Channel | None, typer.Option("--channel", help="One channel.")]
OfModel = Annotated[str | None, typer.Option("--model", help="One model, by its id.")]
OfAll = Annotated[bool, typer.Option("--everything", help="All applications.")]


@control_app.command(epilog="Example: tenminute control keygen /etc/tenminute/keys")
def keygen(folder: Annotated[Path, typer.Argument(help="Folder of the new pair.")]) -> None:
    """Make a key pair: one file signs commands, the other is what engines trust."""
    private_file, public_file, name = OPERATOR.make(folder)
    typer.echo(f"{private_file}: signs commands; keep it with those who may stop approvals")
    typer.echo(f'{public_file}: key {name}; on every engine, control_key_files = ["{public_file}"]')


@control_app.command(
    epilog="Example: tenminute control stop --everything --reason 'wrong list' "
    "--key-file control.key --wait"
)
def stop(
    key_file: KeyFile,
    reason: Reason,
    segment: OfSegment = None,
    channel: OfChannel = None,
    model: OfModel = None,
    everything: OfAll = False,
    by: By = None,
    yes: Yes = False,
    wait: Wait = False,
    workers: Workers = None,
    seconds: Seconds = 30.0,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Refer, from now on, whatever is named; nothing is declined and nothing lost."""
    scope, name = _scope(segment, channel, model, everything)
    if everything and not yes:
        typer.confirm("Refer every application from now on?", abort=True)
    settings = load_settings(config, bootstrap=bootstrap)
    giving = Giving(settings, by, wait, workers, seconds, as_json)
    _send(giving, key_file, {"action": Action.STOP, "scope": scope, "name": name, "reason": reason})


@control_app.command(
    epilog="Example: tenminute control resume --segment farmer --reason 'list corrected' "
    "--key-file control.key --wait"
)
def resume(
    key_file: KeyFile,
    reason: Reason,
    segment: OfSegment = None,
    channel: OfChannel = None,
    model: OfModel = None,
    everything: OfAll = False,
    by: By = None,
    yes: Yes = False,
    wait: Wait = False,
    workers: Workers = None,
    seconds: Seconds = 30.0,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Take one stop back; other stops that cover the same applications stay."""
    scope, name = _scope(segment, channel, model, everything)
    if not yes:
        typer.confirm(f"Approve again: {scope.value} {name}?", abort=True)
    settings = load_settings(config, bootstrap=bootstrap)
    giving = Giving(settings, by, wait, workers, seconds, as_json)
    what = {"action": Action.RESUME, "scope": scope, "name": name}
    _send(giving, key_file, {**what, "reason": reason})


@control_app.command(
    epilog="Example: tenminute control limits --segment farmer --approvals-max 5000 "
    "--reason 'month end' --key-file control.key"
)
def limits(
    segment: Annotated[Segment, typer.Option(help="Whose breaker.")],
    key_file: KeyFile,
    reason: Reason,
    approvals_max: Annotated[
        int | None, typer.Option(min=0, help="Approvals within the window, all partitions.")
    ] = None,
    amount_max_yuan: Annotated[
        int | None, typer.Option(min=0, help="Yuan approved within the window, all partitions.")
    ] = None,
    default: Annotated[bool, typer.Option("--default", help="Back to the policy's.")] = False,
    by: By = None,
    wait: Wait = False,
    workers: Workers = None,
    seconds: Seconds = 30.0,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Replace a segment's breaker limits; past them applications are referred."""
    given = approvals_max is not None or amount_max_yuan is not None
    if given == default:
        raise ConfigError(
            "limits takes --approvals-max, --amount-max-yuan or both, or else --default",
            fix="see tenminute control limits --help",
        )
    settings = load_settings(config, bootstrap=bootstrap)
    giving = Giving(settings, by, wait, workers, seconds, as_json)
    facts: dict[str, object] = {
        "action": Action.LIMITS,
        "scope": Scope.SEGMENT,
        "name": segment.value,
        "reason": reason,
        "approvals_max": approvals_max,
        "amount_max_fen": None if amount_max_yuan is None else amount_max_yuan * 100,
    }
    _send(giving, key_file, facts)


@control_app.command(
    epilog="Example: tenminute control ease --segment farmer --reason 'watch was wrong' "
    "--key-file control.key --wait"
)
def ease(
    segment: Annotated[Segment, typer.Option(help="Whose cut-off.")],
    key_file: KeyFile,
    reason: Reason,
    by: By = None,
    yes: Yes = False,
    wait: Wait = False,
    workers: Workers = None,
    seconds: Seconds = 30.0,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Take back what the guard has tightened; a watch that runs tightens again where it is due."""
    if not yes:
        typer.confirm(f"Approve {segment.value} by the policy alone again?", abort=True)
    settings = load_settings(config, bootstrap=bootstrap)
    giving = Giving(settings, by, wait, workers, seconds, as_json)
    what = {"action": Action.TIGHTEN, "scope": Scope.SEGMENT, "name": segment.value}
    _send(giving, key_file, {**what, "reason": reason})


@control_app.command("list", epilog="Example: tenminute control list --config tenminute.toml")
def list_controls(
    config: Config = None,
    bootstrap: Bootstrap = None,
    key_file: Annotated[
        Path | None, typer.Option(help="Trust this signing key's commands too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is in force: since when, by whom, and which workers have acknowledged."""
    settings = load_settings(config, bootstrap=bootstrap)
    private = OPERATOR.read_private(key_file) if key_file is not None else None
    trusted = control.trusted_of(settings, private)
    if not trusted:
        raise ConfigError(
            "no key to tell a command by",
            fix="give --config with control_key_files, or --key-file",
        )
    require_topics(settings)
    seen = control.look(settings, trusted)
    rows = rows_of(seen)
    if as_json:
        found = {"version": seen.switches.version, "in_force": rows, "refused": seen.refused}
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    print_rows(rows, seen)


def _scope(
    segment: Segment | None, channel: Channel | None, model: str | None, everything: bool
) -> tuple[Scope, str]:
    """The one switch that is meant."""
    named = [
        (Scope.SEGMENT, segment.value if segment else None),
        (Scope.CHANNEL, channel.value if channel else None),
        (Scope.MODEL, model),
        (Scope.EVERYTHING, EVERYTHING if everything else None),
    ]
    given = [(scope, name) for scope, name in named if name is not None]
    if len(given) != 1:
        raise ConfigError(
            f"{len(given)} of --segment, --channel, --model and --everything are given",
            fix="give exactly one",
        )
    return given[0]


def _send(giving: Giving, key_file: Path, facts: dict[str, object]) -> None:
    """Sign the command and publish it, and say what became of it."""
    settings = giving.settings
    private = OPERATOR.read_private(key_file)
    require_topics(settings)
    seen = control.look(settings, control.trusted_of(settings, private))
    command = control.make_command(facts, seen.switches, giving.by)
    offset = control.publish(settings, command, private)
    written = f"{command.command_id}: written; see: tenminute control list"
    tell(giving, command, offset, written, partial(lines, command))
