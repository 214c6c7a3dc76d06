"""`tenminute disburse`: the conformance kit as a process."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from threading import Event
from typing import Annotated

import orjson
import typer

from stream.disbursement.kit import KitSettings, Totals, run_kit
from stream.domain.topics import DECISIONS, OUTCOMES
from stream.edge.clients import require_topic
from stream.errors import FatalError

REPORT_SECONDS = 2.0

Bootstrap = Annotated[str, typer.Option(help="Kafka bootstrap servers.")]
StateDir = Annotated[Path, typer.Option(help="Folder of the payment ledger.")]
Decisions = Annotated[str, typer.Option(help="Topic to read decisions from.")]
Outcomes = Annotated[str, typer.Option(help="Topic to announce payments on.")]
Group = Annotated[str, typer.Option(help="Consumer group.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line.")]


def disburse(
    bootstrap: Bootstrap = "127.0.0.1:9092",
    state_dir: StateDir = Path(".tenminute/disbursement"),
    group: Group = "tenminute-disbursement",
    decisions_topic: Decisions = DECISIONS,
    outcomes_topic: Outcomes = OUTCOMES,
    as_json: AsJson = False,
) -> None:
    """Pay approvals of a decisions topic once each, and announce them on an outcomes topic.

    Runs until Ctrl-C or SIGTERM. Exit codes: 0 stopped, 1 failed, 3 no broker.

    Example: tenminute disburse --bootstrap 127.0.0.1:9092 --json
    """
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    settings = KitSettings(bootstrap, state_dir, group, decisions_topic, outcomes_topic)
    try:
        require_topic(bootstrap, settings.decisions_topic)
        totals = run_kit(settings, stop, _Reporter(as_json))
    except FatalError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    typer.echo(_line(totals, as_json))


class _Reporter:
    """Prints the totals when they changed, at most every two seconds."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._last = Totals()
        self._due = 0.0

    def __call__(self, totals: Totals) -> None:
        now = time.monotonic()
        if totals != self._last and now >= self._due:
            typer.echo(_line(totals, self._as_json))
            self._last, self._due = totals, now + REPORT_SECONDS


def _line(totals: Totals, as_json: bool) -> str:
    if as_json:
        return orjson.dumps(totals._asdict()).decode()
    return (
        f"{totals.decisions:,} decisions, {totals.approvals:,} approvals, {totals.paid:,} paid "
        f"({totals.paid_fen / 100:,.2f} yuan), {totals.repeats:,} repeats not paid again, "
        f"{totals.expired:,} expired, {totals.unknown:,} of unknown outcome"
    )
