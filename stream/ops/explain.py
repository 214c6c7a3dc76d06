"""`tenminute explain APPLICATION_ID`: one decision as a credit memo, from its audit record."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from rich.console import Console

from stream.audit.nearest import Finder
from stream.codec.decision_v1 import decode_audit
from stream.config import load_settings
from stream.domain.decision import Audit
from stream.domain.topics import AUDIT
from stream.errors import BrokerError, Exit
from stream.ops.at_hand import at_hand_of, on_standard_error
from stream.ops.last_run import reachable
from stream.ops.memo import WIDTH_MAX, memo, nearest_part
from stream.ops.memo_trees import leaves_of, trees_part

POLL_MS = 500
ANSWER_MS_MAX = 15_000
SILENCE_SECONDS_MAX = 30.0
"""A broker that moves nothing for this long, short of the end, will not move any more."""


def explain(
    application_id: Annotated[str, typer.Argument(help="Id the channel gave the application.")],
    *,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file.")] = None,
    nearest: Annotated[
        bool, typer.Option(help="Look for the nearest amount and term that would be approved.")
    ] = False,
    trees: Annotated[
        bool, typer.Option(help="Show the leaf of every tree that the score is made of.")
    ] = False,
    policy: Annotated[
        list[Path] | None, typer.Option(help="An older policy that may have decided; repeatable.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="The audit record.")] = False,
) -> None:
    """Explain one decision: reasons, rules, features, score, versions and hashes.

    The nearest yes is looked for under the policy and models that decided, where they are at
    hand (models_dir, policy_file, --policy), else under those in force, and that is said.
    With --nearest, --json prints {"audit": ..., "nearest_yes": ..., "lacking": ...}, with
    --trees {"audit": ..., "leaves": [...]}.

    Example: tenminute explain app-20261124-0001 --nearest
    """
    settings = load_settings(config, bootstrap=bootstrap)
    with reachable(bootstrap, settings) as servers:
        audit = find_audit(servers, application_id)
    if audit is None:
        typer.echo(
            f"no decision on {application_id} in {AUDIT}: wrong id, not decided yet, or a dead "
            "letter (tenminute tail dlq --from-start)",
            err=True,
        )
        raise typer.Exit(Exit.FAILED)
    finder = Finder(at_hand_of(settings, policy or (), on_standard_error)) if nearest else None
    found = finder.find(audit) if finder else None
    lacking = finder.lacking(audit) if finder else ""
    leaves = leaves_of(settings, audit) if trees else []
    if json_output:
        document: dict[str, Any] = {"audit": audit}
        document |= {"nearest_yes": found, "lacking": lacking} if nearest else {}
        document |= {"leaves": [each._asdict() for each in leaves]} if trees else {}
        typer.echo(msgspec.json.encode(document if nearest or trees else audit).decode())
        return
    console = Console(highlight=False)
    width = min(console.width, WIDTH_MAX)
    console.print(memo(audit), width=width)
    if nearest:
        console.print(nearest_part(audit, found, lacking), width=width)
    if trees:
        console.print(trees_part(audit, leaves), width=width)


def find_audit(bootstrap: str, application_id: str) -> Audit | None:
    """The committed audit record of an application, read up to the ends the topic has now."""
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=bootstrap.split(","),
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=ANSWER_MS_MAX,
            # The broker checked them on arrival; in Python it is two thirds of the scan's time.
            check_crcs=False,
        )
        try:
            return _scan(consumer, application_id)
        finally:
            consumer.close()
    except KafkaError as error:
        raise BrokerError(
            f"cannot read {AUDIT} at {bootstrap}: {type(error).__name__}",
            fix="check --bootstrap, then `tenminute doctor`",
        ) from error


def _scan(consumer: Any, application_id: str) -> Audit | None:  # noqa: ANN401
    numbers = consumer.partitions_for_topic(AUDIT)
    if not numbers:
        raise BrokerError(f"no topic {AUDIT}", fix="run: tenminute topics apply")
    places = [TopicPartition(AUDIT, number) for number in sorted(numbers)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    ends = consumer.end_offsets(places)
    wanted = application_id.encode()
    last: list[int] = []
    heard_at = time.monotonic()
    while True:
        for records in consumer.poll(timeout_ms=POLL_MS).values():
            for record in records:
                # Looking for the bytes first spares decoding all the others.
                if record.value and wanted in record.value:
                    audit = _decoded(record.value)
                    if audit is not None and audit.decision.application_id == application_id:
                        return audit
        positions = [consumer.position(place) for place in places]
        if all(at >= ends[place] for place, at in zip(places, positions, strict=True)):
            return None
        if positions != last:
            last, heard_at = positions, time.monotonic()
        elif time.monotonic() - heard_at > SILENCE_SECONDS_MAX:
            raise BrokerError(
                f"{AUDIT} stopped answering before its end", fix="run: tenminute doctor"
            )


def _decoded(value: bytes) -> Audit | None:
    """The audit record, or None for a record of another version, which explains nothing here."""
    try:
        return decode_audit(value)
    except msgspec.DecodeError:
        return None
