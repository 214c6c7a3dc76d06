"""`tenminute publish FILE.jsonl`: check every line, then send.

The bytes of a line are sent as they stand, so a second run sends the same
content under the same ids and the engine answers each application once.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from confluent_kafka import KafkaError, KafkaException, Message
from rich.console import Console
from rich.progress import Progress

from stream.codec.headers import cloud_event
from stream.config import Settings, load_settings
from stream.edge.clients import producer, require_topic
from stream.errors import BrokerError, ConfigError, Exit, PoisonError
from stream.ops.publish_kinds import SHEETS, Kind, Sheet, Sound

FAULTS_SHOWN_MAX = 50
FLUSH_SECONDS_MAX = 30.0
POLL_EVERY = 1_000


class Line(NamedTuple):
    """One line of the file: its number, its bytes, and what was found in it."""

    number: int
    value: bytes
    found: Sound | PoisonError


class Fault(NamedTuple):
    """Where a line is wrong and what was expected; never what was there."""

    line: int
    field: str
    expected: str


def read_lines(file: Path, sheet: Sheet) -> Iterator[Line]:
    """Every line that is not blank, decoded as the engine would decode it."""
    with file.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            value = raw.strip()
            if value:
                yield Line(number, value, _look(value, sheet))


def find_faults(file: Path, sheet: Sheet) -> tuple[int, list[Fault]]:
    """How many lines are valid, and the faults of the others."""
    valid = 0
    faults = []
    for line in read_lines(file, sheet):
        if isinstance(line.found, PoisonError):
            faults.append(Fault(line.number, line.found.field, line.found.detail))
        else:
            valid += 1
    return valid, faults


def send(file: Path, settings: Settings, total: int, sheet: Sheet, *, show: bool) -> int:
    """Send the valid lines and wait until all are acknowledged; BrokerError when one is not."""
    results: Counter[str] = Counter()

    def delivered(error: KafkaError | None, _message: Message) -> None:
        results["sent" if error is None else error.str()] += 1

    require_topic(settings.bootstrap, sheet.topic, **settings.kafka)
    client = producer(settings)
    with Progress(console=Console(stderr=True), disable=not show) as progress:
        task = progress.add_task("publishing", total=total)
        for line in read_lines(file, sheet):
            if isinstance(line.found, Sound):
                _produce(client, line.value, (sheet, line.found), delivered)
                progress.advance(task)
                if line.number % POLL_EVERY == 0:
                    client.poll(0)
        waiting = client.flush(FLUSH_SECONDS_MAX)
    sent = results.pop("sent", 0)
    if waiting or results:
        why = next(iter(results), "no acknowledgement in time")
        raise BrokerError(
            f"{sent} of {total} records acknowledged by {settings.bootstrap}: {why}",
            fix="check the broker and the topic, then run the same command again; "
            "what was sent twice counts once",
        )
    return sent


def publish(
    file: Annotated[Path, typer.Argument(help="One record per line, JSON.")],
    *,
    topic: Annotated[Kind, typer.Option(help="What the lines are.")] = Kind.APPLICATIONS,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file.")] = None,
    skip_invalid: Annotated[bool, typer.Option(help="Send the valid lines only.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Check, send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Check a file of applications, events or reviewers' answers and publish it.

    Example: tenminute publish events.jsonl --topic events --dry-run
    """
    if not file.is_file():
        raise ConfigError(f"no file at {file}", fix="give a file with one JSON object per line")
    settings, sheet = load_settings(config, bootstrap=bootstrap), SHEETS[topic]
    valid, faults = find_faults(file, sheet)
    refused = bool(faults) and not skip_invalid
    sent = 0
    if valid and not refused and not dry_run:
        sent = send(file, settings, valid, sheet, show=not as_json and sys.stderr.isatty())
    _report({"valid": valid, "invalid": len(faults), "sent": sent}, faults, as_json=as_json)
    if refused:
        raise typer.Exit(Exit.FAILED)


def _look(value: bytes, sheet: Sheet) -> Sound | PoisonError:
    try:
        return sheet.look(value)
    except PoisonError as error:
        return error


def _produce(client: Any, value: bytes, what: tuple[Sheet, Sound], delivered: Any) -> None:  # noqa: ANN401
    sheet, sound = what
    headers = cloud_event(sheet.event_type, sound.source, sound.event_id, sound.at)
    key = sound.applicant_token.encode()
    while True:
        try:
            client.produce(sheet.topic, value, key, headers=headers, on_delivery=delivered)
        except BufferError:
            # The local queue is full: let acknowledgements make room.
            client.poll(0.1)
        except KafkaException as error:
            raise BrokerError(str(error.args[0]), fix="check the topic's settings") from error
        else:
            return


def _report(counts: dict[str, int], faults: list[Fault], *, as_json: bool) -> None:
    if as_json:
        faulty = [fault._asdict() for fault in faults]
        typer.echo(json.dumps(counts | {"faults": faulty}, ensure_ascii=False))
        return
    for fault in faults[:FAULTS_SHOWN_MAX]:
        typer.echo(f"line {fault.line}: {fault.field}: {fault.expected}", err=True)
    if len(faults) > FAULTS_SHOWN_MAX:
        typer.echo(f"and {len(faults) - FAULTS_SHOWN_MAX} more", err=True)
    typer.echo(", ".join(f"{name} {count:,}" for name, count in counts.items()))
