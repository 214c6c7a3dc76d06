"""`tenminute model shadow | canary | promote | rollback | approve`: who decides, by command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from stream.config import load_settings
from stream.domain.control import Command
from stream.domain.lineup import SHARE_BPS_MAX, Alias
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
from stream.ops.model_cli import model_app
from stream.ops.options import AsJson, Bootstrap, Config

__all__ = ["model_app"]

Model = Annotated[str, typer.Argument(help="Model, as the policy names it.")]
ToVersion = Annotated[str, typer.Argument(help="Version, as its folder is named.")]
MaybeVersion = Annotated[str | None, typer.Argument(help="Version, as its folder is named.")]
Off = Annotated[bool, typer.Option("--off", help="Nobody stands there any more.")]
Keys = Annotated[
    list[Path], typer.Option("--key-file", help="Private key of an operator; twice for two.")
]
Propose = Annotated[
    Path | None, typer.Option(help="Write it, signed once, for a second person to approve.")
]


class _Signing(NamedTuple):
    """Who signs a command and why, and where it goes when a second person is to sign it."""

    keys: list[Path]
    reason: str
    propose: Path | None = None


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
    giving = Giving(settings, by, wait, workers, seconds, as_json)
    _give(giving, _Signing(key_file, reason), (model, Alias.SHADOW, _one(version, off=off)))


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
    rollback: Annotated[
        bool, typer.Option("--rollback", help="An older version than the champion is meant.")
    ] = False,
    propose: Propose = None,
    by: By = None,
    wait: Wait = False,
    workers: Workers = None,
    seconds: Seconds = 30.0,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Let a challenger decide for a share of the applicants; two signatures, one with --off.

    A new champion ends the trial.
    """
    named = _one(version, off=off)
    share_bps = None if share is None else round(share * 100)
    if (named is None) != (share_bps is None):
        raise ConfigError("a challenger has a share", fix="give VERSION and --share, or --off")
    if share_bps is not None and not 1 <= share_bps <= SHARE_BPS_MAX:
        raise ConfigError(f"{share} % is no share", fix="give --share from 0.01 to 50")
    settings = load_settings(config, bootstrap=bootstrap)
    giving = Giving(settings, by, wait, workers, seconds, as_json)
    wanted = (model, Alias.CHALLENGER, named, share_bps, rollback)
    _give(giving, _Signing(key_file, reason, propose), wanted)


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
    giving = Giving(settings, by, wait, workers, seconds, as_json)
    _give(giving, _Signing(key_file, reason, propose), (model, Alias.CHAMPION, version))


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
    giving = Giving(settings, by, wait, workers, seconds, as_json)
    _give(giving, _Signing(key_file, reason, propose), (model, Alias.CHAMPION, to, None, True))


@model_app.command(epilog="Example: tenminute model approve promote.json --key-file bo.key --wait")
def approve(
    file: Annotated[Path, typer.Argument(help="What the first person proposed.")],
    *,
    key_file: Annotated[Path, typer.Option(help="Private key of the second person.")],
    yes: Yes = False,
    wait: Wait = False,
    workers: Workers = None,
    seconds: Seconds = 30.0,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Sign as the second person what another proposed, after every check, and give it."""
    from stream.ops.model_place import check_again, check_follows, countersign, words

    settings = load_settings(config, bootstrap=bootstrap)
    private = OPERATOR.read_private(key_file)
    command, signed = countersign(settings, file, private)
    check_again(settings, command)
    require_topics(settings)
    seen = control.look(settings, control.trusted_of(settings, private))
    check_follows(settings, seen.switches, command)
    if not yes:
        typer.confirm(
            f"{words(command)}. By {command.issued_by}: {command.reason}. Sign?", abort=True
        )
    offset = control.send(settings, signed)
    _tell(Giving(settings, None, wait, workers, seconds, as_json), command, offset)


def _one(version: str | None, *, off: bool) -> str | None:
    if (version is None) != off:
        raise ConfigError("who is to stand there?", fix="give either VERSION or --off")
    return version


def _give(giving: Giving, signing: _Signing, wanted: tuple[Any, ...]) -> None:
    """Check, sign and give one command, or write it down for a second signature."""
    from stream.ops.model_place import Place, before, facts_of, propose, signed_by, words

    settings, place = giving.settings, Place(*wanted)
    keys = [OPERATOR.read_private(file) for file in signing.keys]
    require_topics(settings)
    seen = control.look(settings, control.trusted_of(settings, *keys))
    if place.alias is Alias.CHAMPION and place.version is None:
        place = place._replace(version=before(seen.switches, place.model))
    facts = facts_of(settings, seen.switches, place, signing.reason)
    command = control.make_command(facts, seen.switches, giving.by)
    if signing.propose is None:
        _tell(giving, command, control.send(settings, signed_by(command, keys)))
        return
    file = signing.propose
    propose(file, command, keys[0])
    line = f"{words(command)}: signed once; a second person: tenminute model approve {file}"
    proposed = {"command_id": command.command_id, "proposal": str(file)}
    typer.echo(json.dumps(proposed) if giving.as_json else line)


def _tell(giving: Giving, command: Command, offset: int) -> None:
    """Say what became of the command, in the words of models."""
    from stream.ops.model_place import words

    named = words(command)

    def lines(outcome: control.Outcome) -> Iterator[str]:
        yield f"{named}: {len(outcome.workers)} of {outcome.expected} workers have answered"
        for ack in outcome.acks:
            yield f"  {ack.worker}: {ack.result.value}{f', {ack.why}' if ack.why else ''}"
        if not outcome.complete:
            yield "  not every worker follows: see docs/runbook.md, Change a model"

    tell(giving, command, offset, f"{named}: written; see: tenminute model list", lines)
