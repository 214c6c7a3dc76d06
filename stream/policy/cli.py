"""`tenminute policy`: read a policy file the way the engine would, before the engine does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from stream.errors import ConfigError, Exit
from stream.policy.load import PolicyError, load_policy
from stream.policy.model import Policy

app = typer.Typer(
    name="policy",
    help="Check a policy file.",
    epilog="Example: tenminute policy check policy.toml --json",
    no_args_is_help=True,
)


@app.callback()
def policy() -> None:
    """Check a policy file before the engine reads it."""


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The policy file, for example policy.toml.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List everything wrong with FILE; exit 0 when it may be used, 2 when not.

    Example: tenminute policy check policy.toml
    """
    try:
        loaded = load_policy(file)
    except PolicyError as error:
        faults = [fault._asdict() for fault in error.faults]
        _show_faults(file, faults, as_json=as_json)
        raise typer.Exit(Exit.CONFIG) from error
    except ConfigError as error:
        fault = {"key": "(file)", "problem": error.message, "fix": error.fix}
        _show_faults(file, [fault], as_json=as_json)
        raise typer.Exit(Exit.CONFIG) from error
    _show_policy(file, loaded, as_json=as_json)


def _show_faults(file: Path, faults: list[dict[str, str]], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"file": str(file), "ok": False, "faults": faults}))
        return
    for fault in faults:
        typer.echo(f"{file}: {fault['key']}: {fault['problem']} — {fault['fix']}", err=True)


def _show_policy(file: Path, policy: Policy, *, as_json: bool) -> None:
    cut_offs = {name.value: part.cut_off_points for name, part in policy.segments.items()}
    if as_json:
        found = {"file": str(file), "ok": True, "policy_id": policy.policy_id}
        typer.echo(json.dumps({**found, "sha256": policy.sha256, "cut_off_points": cut_offs}))
        return
    typer.echo(f"{file}: {policy.policy_id} may be used, sha256 {policy.sha256}")
    for name, points in cut_offs.items():
        typer.echo(f"  {name}: cut-off {points} points")
