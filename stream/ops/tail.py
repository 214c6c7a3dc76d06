"""`tenminute tail TOPIC`: committed records as they come, one aligned line each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaException, TopicPartition
from rich.console import Console

from stream.config import Settings, load_settings
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
from stream.edge.clients import consumer, record_of, require_topic
from stream.edge.inbox import CALL_SECONDS
from stream.errors import BrokerError
from stream.ops.last_run import reachable
from stream.ops.tail_rows import Stream, line_of, row_of
from stream.ports import Record

POLL_SECONDS = 0.2
RECORDS_A_POLL = 500

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


def json_of(stream: Stream, record: Record) -> str:
    """One record as one JSON line; of a dead letter, the size of its value instead of the value."""
    found: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
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
        at = settings.model_copy(update={"bootstrap": servers})
        for count, record in enumerate(_records(stream, at, from_start=from_start), start=1):
            if as_json:
                typer.echo(json_of(stream, record))
            else:
                value = {} if stream is Stream.DLQ else _value(record) or {}
                console.print(line_of(row_of(stream, value, _headers(record))))
            if count == limit:
                return


def _records(stream: Stream, settings: Settings, *, from_start: bool) -> Iterator[Record]:
    """Committed records for ever; a header that cannot be read costs the headers, not the verb."""
    topic = TOPICS[stream]
    require_topic(settings.bootstrap, topic, **settings.kafka)
    reader = consumer(settings, f"{settings.group_id}-tail", **{"auto.offset.reset": "earliest"})
    start = OFFSET_BEGINNING if from_start else OFFSET_END
    try:
        numbers = reader.list_topics(topic, timeout=CALL_SECONDS).topics[topic].partitions
        reader.assign([TopicPartition(topic, number, start) for number in numbers])
        while True:
            for message in reader.consume(RECORDS_A_POLL, POLL_SECONDS):
                error = message.error()
                if error is None:
                    yield record_of(message)
                elif not error.retriable():
                    raise KafkaException(error)
    except KafkaException as error:
        raise BrokerError(
            f"cannot read {topic} at {settings.bootstrap}: {error.args[0].name()}",
            fix="check --bootstrap, then `tenminute doctor`",
        ) from error
    finally:
        reader.close()


def _headers(record: Record) -> dict[str, str]:
    return {name: _text(value) for name, value in record.headers}


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def _value(record: Record) -> dict[str, Any] | None:
    try:
        value = json.loads(record.value) if record.value else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
