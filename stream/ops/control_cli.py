"""`tenminute control`: stop and resume approvals, set breaker limits, see what is in force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from stream.config import Settings, load_settings
from stream.domain.application import Channel, Segment
from stream.domain.control import EVERYTHING, Action, Scope
from stream.domain.topics import ACKS, CONTROL
from stream.edge.clients import require_topic
from stream.edge.key_pairs import OPERATOR
from stream.errors import ConfigError, Exit
from stream.ops import control
from stream.ops.control_show import lines, print_rows, rows_of, told

control_app = typer.Typer(
    no_args_is_help=True,
    help="Stop approvals now; every worker acknowledges. Commands are signed.",
    epilog="Example: tenminute control stop --segment farmer --reason 'price error' "
    "--key-file control.key --wait",
)
Config = Annotated[Path | None, typer.Option(help="Settings file.")]
Bootstrap = Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document for machines.")]
KeyFile = Annotated[Path, typer.Option(help="Private key that signs the command.")]
Reason = Annotated[str, typer.Option(help="Why, for the record; name no customer.")]
By = Annotated[str | None, typer.Option(help="Who commands; by default the login name.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until every worker has acknowledged.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Wait for so many; by default the engine's group.")
]
Seconds = Annotated[float, typer.Option(min=0, help="Longest to wait.")]
OfSegment = Annotated[Segment | None, typer.Option("--segment", help="One kind of customer.")]
OfChannel = Annotated[Channel | None, typer.Option("--channel", help="One channel.")]
OfModel = Annotated[str | None, typer.Option("--model", help="One model, by its id.")]
OfAll = Annotated[bool, typer.Option("--everything", help="All applications.")]


class _Sending(NamedTuple):
    """How a command is given, whatever it commands."""

    settings: Settings
    key_file: Path
    by: str | None
    wait: bool
    workers: int | None
    seconds: float
    as_json: bool


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
    sending = _Sending(settings, key_file, by, wait, workers, seconds, as_json)
    _send(sending, {"action": Action.STOP, "scope": scope, "name": name, "reason": reason})


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
    sending = _Sending(settings, key_file, by, wait, workers, seconds, as_json)
    _send(sending, {"action": Action.RESUME, "scope": scope, "name": name, "reason": reason})


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
    sending = _Sending(settings, key_file, by, wait, workers, seconds, as_json)
    facts: dict[str, object] = {
        "action": Action.LIMITS,
        "scope": Scope.SEGMENT,
        "name": segment.value,
        "reason": reason,
        "approvals_max": approvals_max,
        "amount_max_fen": None if amount_max_yuan is None else amount_max_yuan * 100,
    }
    _send(sending, facts)


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
    sending = _Sending(settings, key_file, by, wait, workers, seconds, as_json)
    what = {"action": Action.TIGHTEN, "scope": Scope.SEGMENT, "name": segment.value}
    _send(sending, {**what, "reason": reason})


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
    _require_topics(settings)
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


def _require_topics(settings: Settings) -> None:
    for topic in (CONTROL, ACKS):
        require_topic(settings.bootstrap, topic, **settings.kafka)


def _send(sending: _Sending, facts: dict[str, object]) -> None:
    """Publish the command and, when asked, wait for its acknowledgements; exit 1 without them."""
    settings = sending.settings
    private = OPERATOR.read_private(sending.key_file)
    _require_topics(settings)
    seen = control.look(settings, control.trusted_of(settings, private))
    command = control.make_command(facts, seen.switches, sending.by)
    offset = control.publish(settings, command, private)
    sent = {
        "command_id": command.command_id,
        "issued_at": command.issued_at,
        "offset": offset,
    }
    if not sending.wait:
        if sending.as_json:
            typer.echo(json.dumps(sent))
        else:
            typer.echo(f"{command.command_id}: written; see: tenminute control list")
        return
    expected = sending.workers or control.members(settings)
    outcome = control.await_acks(settings, command, offset, expected, sending.seconds)
    if sending.as_json:
        typer.echo(json.dumps({**sent, **told(outcome)}))
    else:
        for line in lines(command, outcome):
            typer.echo(line)
    raise typer.Exit(Exit.OK if outcome.complete else Exit.FAILED)
