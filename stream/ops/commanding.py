"""What the verbs that give a signed command share: their options, and what is told afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Annotated, NamedTuple

import typer

from stream.config import Settings
from stream.domain.control import Command
from stream.domain.topics import ACKS, CONTROL
from stream.edge.clients import require_topic
from stream.errors import Exit
from stream.ops import control
from stream.ops.control import Outcome
from stream.ops.control_show import told

By = Annotated[str | None, typer.Option(help="Who commands; by default the login name.")]
Reason = Annotated[str, typer.Option(help="Why, for the record; name no customer.")]
Seconds = Annotated[float, typer.Option(min=0, help="Longest to wait.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until every worker has answered.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Wait for so many; by default the engine's group.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


class Giving(NamedTuple):
    """How a command is given, whatever it commands."""

    settings: Settings
    by: str | None
    wait: bool
    workers: int | None
    seconds: float
    as_json: bool


def require_topics(settings: Settings) -> None:
    """BrokerError within seconds without a broker or its topics for commands."""
    for topic in (CONTROL, ACKS):
        require_topic(settings.bootstrap, topic, **settings.kafka)


def tell(
    giving: Giving,
    command: Command,
    offset: int,
    written: str,
    lines: Callable[[Outcome], Iterable[str]],
) -> None:
    """Say what was given and, when asked, who follows; exit 1 unless every worker does.

    For people: `written` when nobody waits, else the `lines` on the outcome.
    """
    given = {"command_id": command.command_id, "issued_at": command.issued_at, "offset": offset}
    if not giving.wait:
        typer.echo(json.dumps(given) if giving.as_json else written)
        return
    expected = giving.workers or control.members(giving.settings)
    outcome = control.await_acks(giving.settings, command, offset, expected, giving.seconds)
    if giving.as_json:
        typer.echo(json.dumps({**given, **told(outcome)}))
    else:
        for line in lines(outcome):
            typer.echo(line)
    raise typer.Exit(Exit.OK if outcome.complete else Exit.FAILED)
