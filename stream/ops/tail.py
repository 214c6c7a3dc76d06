"""`tenminute tail TOPIC`: committed records as they come, one aligned line each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from kafka import KafkaConsumer
from kafka.errors import KafkaError
from rich.console import Console

from stream.config import load_settings
from stream.domain.topics import (
    ACKS,
    APPLICATIONS,
    AUDIT,
    CONTROL,
    DEAD_LETTERS,
    DECISIONS,
    EVENTS,
    FUNNEL,
    OUTCOMES,
    REVIEWS,
)
from stream.edge.clients import require_topic
from stream.errors import BrokerError
from stream.ops.last_run import reachable
from stream.ops.tail_rows import Stream, line_of, row_of

POLL_MS = 500

TOPICS = {
    Stream.APPLICATIONS: APPLICATIONS,
    Stream.EVENTS: EVENTS,
    Stream.DECISIONS: DECISIONS,
    Stream.REVIEWS: REVIEWS,
    Stream.AUDIT: AUDIT,
    Stream.DLQ: DEAD_LETTERS,
    Stream.CONTROL: CONTROL,
    Stream.ACKS: ACKS,
    Stream.OUTCOMES: OUTCOMES,
    Stream.FUNNEL: FUNNEL,
}


def json_of(stream: Stream, record: Any) -> str:  # noqa: ANN401
    """One record as one JSON line; of a dead letter, the size of its value instead of the value."""
    found: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp,
        "headers": _headers(record),
    }
    if stream is Stream.DLQ:
        found["value_bytes"] = len(record.value or b"")
    else:
        found |= {"key": (record.key or b"").decode("utf-8", "replace"), "value": _value(record)}
    return json.dumps(found, ensure_ascii=False)


def tail(
    stream: Annotated[Stream, typer.Argument(help="What to follow.")],
    *,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration file.")] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help="From the oldest.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Follow committed records until Ctrl-C.

    Example: tenminute tail decisions --from-start --limit 20
    """
    settings = load_settings(config, bootstrap=bootstrap)
    console = Console(highlight=False, soft_wrap=True)
    with suppress(KeyboardInterrupt), reachable(bootstrap, settings) as servers:
        for count, record in enumerate(_records(stream, servers, from_start), start=1):
            if as_json:
                typer.echo(json_of(stream, record))
            else:
                value = {} if stream is Stream.DLQ else _value(record) or {}
                console.print(line_of(row_of(stream, value, _headers(record))))
            if count == limit:
                return


def _records(stream: Stream, bootstrap: str, from_start: bool) -> Iterator[Any]:
    require_topic(bootstrap, TOPICS[stream])
    try:
        consumer = KafkaConsumer(
            TOPICS[stream],
            bootstrap_servers=bootstrap.split(","),
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest" if from_start else "latest",
            allow_auto_create_topics=False,
        )
        try:
            while True:
                for records in consumer.poll(timeout_ms=POLL_MS).values():
                    yield from records
        finally:
            consumer.close()
    except KafkaError as error:
        raise BrokerError(
            f"cannot read {TOPICS[stream]} at {bootstrap}: {type(error).__name__}",
            fix="check --bootstrap, then `tenminute doctor`",
        ) from error


def _headers(record: Any) -> dict[str, str]:  # noqa: ANN401
    return {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}


def _value(record: Any) -> dict[str, Any] | None:  # noqa: ANN401
    try:
        value = json.loads(record.value) if record.value else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
