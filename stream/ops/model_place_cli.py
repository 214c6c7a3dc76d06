"""`tenminute model shadow | canary | promote | rollback | approve`: who decides, by command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from stream.config import Settings, load_settings
from stream.domain.lineup import SHARE_BPS_MAX, Alias
from stream.edge.key_pairs import OPERATOR
from stream.errors import ConfigError, Exit
from stream.ops.model_cli import AsJson, Config, model_app

__all__ = ["model_app"]

Model = Annotated[str, typer.Argument(help="Model, as the policy names it.")]
ToVersion = Annotated[str, typer.Argument(help="Version, as its folder is named.")]
MaybeVersion = Annotated[str | None, typer.Argument(help="Version, as its folder is named.")]
Off = Annotated[bool, typer.Option("--off", help="Nobody stands there any more.")]
Keys = Annotated[
    list[Path], typer.Option("--key-file", help="Private key of an operator; twice for two.")
]
Reason = Annotated[str, typer.Option(help="Why, for the record; name no customer.")]
Propose = Annotated[
    Path | None, typer.Option(help="Write it, signed once, for a second person to approve.")
]
By = Annotated[str | None, typer.Option(help="Who commands; by default the login name.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until every worker has answered.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Wait for so many; by default the engine's group.")
]
Seconds = Annotated[float, typer.Option(min=0, help="Longest to wait.")]
Bootstrap = Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")]


class _Way(NamedTuple):
    """How a command is given, whatever it commands."""

    settings: Settings
    keys: list[Path]
    reason: str
    propose: Path | None = None
    by: str | None = None
    wait: bool = False
    workers: int | None = None
    seconds: float = 30.0
    as_json: bool = False


@model_app.command(
    epilog="Example: tenminute model shadow farmer 1.2.0 --reason 'first look' "
    "--key-file control.key --wait"
)
def shadow(
    model: Model,
    version: MaybeVersion = None,
    *,
    key_file: Keys,
    reason: Reason,
    off: Off = False,
    by: By = None,
    wait: Wait = False,
    workers: Workers = None,
    seconds: Seconds = 30.0,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Let a version score everything and decide nothing; its scores are in the audit."""
    settings = load_settings(config, bootstrap=bootstrap)
    way = _Way(settings, key_file, reason, None, by, wait, workers, seconds, as_json)
    _give(way, (model, Alias.SHADOW, _one(version, off=off)))


@model_app.command(
    epilog="Example: tenminute model canary farmer 1.2.0 --share 5 --reason 'trial' "
    "--key-file anna.key --key-file bo.key --wait"
)
def canary(
    model: Model,
    version: MaybeVersion = None,
    *,
    key_file: Keys,
    reason: Reason,
    share: Annotated[
        float | None, typer.Option(help="Percent of the applicants, 0.01 to 50.")
    ] = None,
    off: Off = False,
    propose: Propose = None,
    by: By = None,
    wait: Wait = False,
    workers: Workers = None,
    seconds: Seconds = 30.0,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Let a challenger decide for a share of the applicants; two signatures, one with --off."""
    named = _one(version, off=off)
    share_bps = None if share is None else round(share * 100)
    if (named is None) != (share_bps is None):
        raise ConfigError("a challenger has a share", fix="give VERSION and --share, or --off")
    if share_bps is not None and not 1 <= share_bps <= SHARE_BPS_MAX:
        raise ConfigError(f"{share} % is no share", fix="give --share from 0.01 to 50")
    settings = load_settings(config, bootstrap=bootstrap)
    way = _Way(settings, key_file, reason, propose, by, wait, workers, seconds, as_json)
    _give(way, (model, Alias.CHALLENGER, named, share_bps))


@model_app.command(
    epilog="Example: tenminute model promote farmer 1.2.0 --reason 'committee of 25 November' "
    "--key-file anna.key --propose promote.json"
)
def promote(
    model: Model,
    version: ToVersion,
    *,
    key_file: Keys,
    reason: Reason,
    propose: Propose = None,
    by: By = None,
    wait: Wait = False,
    workers: Workers = None,
    seconds: Seconds = 30.0,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Let a version decide from the next batch on, on every worker; two signatures."""
    settings = load_settings(config, bootstrap=bootstrap)
    way = _Way(settings, key_file, reason, propose, by, wait, workers, seconds, as_json)
    _give(way, (model, Alias.CHAMPION, version))


@model_app.command(
    epilog="Example: tenminute model rollback farmer --reason 'approves too many' "
    "--key-file anna.key --key-file bo.key --wait"
)
def rollback(
    model: Model,
    *,
    key_file: Keys,
    reason: Reason,
    to: Annotated[str | None, typer.Option(help="Version; by default the one before.")] = None,
    propose: Propose = None,
    by: By = None,
    wait: Wait = False,
    workers: Workers = None,
    seconds: Seconds = 30.0,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Go back to an older version; two signatures. Faster, alone: `control stop --model`."""
    settings = load_settings(config, bootstrap=bootstrap)
    way = _Way(settings, key_file, reason, propose, by, wait, workers, seconds, as_json)
    _give(way, (model, Alias.CHAMPION, to, None, True))


@model_app.command(epilog="Example: tenminute model approve promote.json --key-file bo.key --wait")
def approve(
    file: Annotated[Path, typer.Argument(help="What the first person proposed.")],
    *,
    key_file: Annotated[Path, typer.Option(help="Private key of the second person.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: Wait = False,
    workers: Workers = None,
    seconds: Seconds = 30.0,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Sign as the second person what another proposed, after every check, and give it."""
    from stream.ops import control
    from stream.ops.model_place import check_again, countersign, words

    settings = load_settings(config, bootstrap=bootstrap)
    command, signed = countersign(settings, file, OPERATOR.read_private(key_file))
    check_again(settings, command)
    if not yes:
        typer.confirm(
            f"{words(command)}. By {command.issued_by}: {command.reason}. Sign?", abort=True
        )
    offset = control.send(settings, signed)
    way = _Way(settings, [], command.reason, None, None, wait, workers, seconds, as_json)
    _tell(way, command, offset)


def _one(version: str | None, *, off: bool) -> str | None:
    if (version is None) != off:
        raise ConfigError("who is to stand there?", fix="give either VERSION or --off")
    return version


def _give(way: _Way, wanted: tuple[Any, ...]) -> None:
    """Check, sign and give one command, or write it down for a second signature."""
    from stream.domain.topics import ACKS, CONTROL
    from stream.edge.clients import require_topic
    from stream.ops import control
    from stream.ops.model_place import Place, before, facts_of, propose, signed_by, words

    settings, place = way.settings, Place(*wanted)
    keys = [OPERATOR.read_private(file) for file in way.keys]
    for topic in (CONTROL, ACKS):
        require_topic(settings.bootstrap, topic, **settings.kafka)
    seen = control.look(settings, control.trusted_of(settings, *keys))
    if place.rollback and place.version is None:
        place = place._replace(version=before(seen.switches, place.model))
    facts = facts_of(settings, seen.switches, place, way.reason)
    command = control.make_command(facts, seen.switches, way.by)
    if way.propose is None:
        _tell(way, command, control.send(settings, signed_by(command, keys)))
        return
    propose(way.propose, command, keys[0])
    line = f"{words(command)}: signed once; a second person: tenminute model approve {way.propose}"
    told = {"command_id": command.command_id, "proposal": str(way.propose)}
    typer.echo(json.dumps(told) if way.as_json else line)


def _tell(way: _Way, command: Any, offset: int) -> None:  # noqa: ANN401 - imported when run
    """Say what was given and, when asked, who follows; exit 1 unless every worker does."""
    from stream.ops import control
    from stream.ops.control_show import told
    from stream.ops.model_place import words

    given = {"command_id": command.command_id, "issued_at": command.issued_at, "offset": offset}
    if not way.wait:
        written = f"{words(command)}: written; see: tenminute model list"
        typer.echo(json.dumps(given) if way.as_json else written)
        return
    expected = way.workers or control.members(way.settings)
    outcome = control.await_acks(way.settings, command, offset, expected, way.seconds)
    if way.as_json:
        typer.echo(json.dumps({**given, **told(outcome)}))
    else:
        typer.echo(f"{words(command)}: {len(outcome.workers)} of {expected} workers have answered")
        for ack in outcome.acks:
            typer.echo(f"  {ack.worker}: {ack.result.value}{f', {ack.why}' if ack.why else ''}")
        if not outcome.complete:
            typer.echo("  not every worker follows: see docs/runbook.md, Change a model")
    raise typer.Exit(Exit.OK if outcome.complete else Exit.FAILED)
