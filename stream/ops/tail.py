"""`tenminute tail TOPIC`: committed records as they come, one aligned line each.

The human form shortens applicant tokens and never shows the bytes of a dead letter,
which may hold what a person typed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from kafka import KafkaConsumer
from kafka.errors import KafkaError
from rich.console import Console
from rich.text import Text

from stream.codec.decision_v1 import DEAD_LETTER_AUDITED
from stream.config import load_settings
from stream.domain.instant import from_ms, to_ms
from stream.domain.topics import APPLICATIONS, AUDIT, DEAD_LETTERS, DECISIONS, FUNNEL, OUTCOMES
from stream.edge.clients import require_topic
from stream.errors import BrokerError
from stream.ops.last_run import reachable

TOKEN_SHOWN = 9
POLL_MS = 500


class Stream(StrEnum):
    """What can be followed."""

    APPLICATIONS = "applications"
    DECISIONS = "decisions"
    AUDIT = "audit"
    DLQ = "dlq"
    OUTCOMES = "outcomes"
    FUNNEL = "funnel"


TOPICS = {
    Stream.APPLICATIONS: APPLICATIONS,
    Stream.DECISIONS: DECISIONS,
    Stream.AUDIT: AUDIT,
    Stream.DLQ: DEAD_LETTERS,
    Stream.OUTCOMES: OUTCOMES,
    Stream.FUNNEL: FUNNEL,
}
STYLES = {"approve": "green", "refer": "yellow", "disbursed": "green"}


class Row(NamedTuple):
    """What one line shows."""

    at: str
    what: str
    channel: str
    segment: str
    amount: str
    who: str
    more: str


def yuan(fen: object) -> str:
    """Fen as yuan with two decimals, exact; empty when it is no amount."""
    if not isinstance(fen, int):
        return ""
    return f"¥{fen // 100:,}.{fen % 100:02d}"


def short(token: object) -> str:
    """A token cut so far that it finds a record and names nobody."""
    text = str(token or "")
    return text[:TOKEN_SHOWN] + "…" if len(text) > TOKEN_SHOWN else text


def row_of(stream: Stream, value: dict[str, Any], headers: dict[str, str]) -> Row:
    """The line of one record; what a record lacks stays empty."""
    if stream is Stream.DLQ:
        origin = f"{headers.get('x-origin-partition')}/{headers.get('x-origin-offset')}"
        more = f"{headers.get('x-error-field', '')}: {headers.get('x-error-detail', '')}"
        reason = headers.get("x-error-reason", "")
        return Row(headers.get("ce_time", ""), reason, "", "", "", origin, more)
    if stream is Stream.AUDIT and headers.get("ce_type") == DEAD_LETTER_AUDITED:
        origin = f"{value.get('source_partition')}/{value.get('source_offset')}"
        more = f"{value.get('field', '')}, {value.get('size_bytes', '')} bytes"
        return Row(headers.get("ce_time", ""), str(value.get("reason")), "", "", "", origin, more)
    if stream is Stream.AUDIT:
        decision = value.get("decision", {})
        row = row_of(Stream.DECISIONS, decision, headers)
        return row._replace(more=f"{len(value.get('rules', ()))} rules · {row.more}")
    channel, segment = str(value.get("channel", "")), str(value.get("segment", ""))
    if stream is Stream.FUNNEL:
        names = ("submitted", "decided", "approved", "paid", "paid_within_ten_minutes")
        more = " → ".join(f"{value.get(f'{name}_count', 0):,}" for name in names)
        at, where = headers.get("ce_time", ""), f"partition {value.get('partition', '')}"
        return Row(at, "funnel", channel, segment, "", where, more)
    kept = {
        Stream.APPLICATIONS: ("submitted_at", "application", "requested_amount_fen"),
        Stream.DECISIONS: ("decided_at", str(value.get("outcome", "")), "approved_amount_fen"),
        Stream.OUTCOMES: ("occurred_at", str(value.get("event", "")), "amount_fen"),
    }
    at, what, amount = kept[stream]
    if value.get("outcome") == "refer":
        amount = "requested_amount_fen"
    reasons = value.get("reasons") or [{}]
    more = f"{value.get('application_id', '')}  {reasons[0].get('text_en', '')}".rstrip()
    who = short(value.get("applicant_token"))
    return Row(str(value.get(at, "")), what, channel, segment, yuan(value.get(amount)), who, more)


def utc(instant: str) -> str:
    """An instant in UTC, of one width whatever its zone; the text itself when it is none."""
    try:
        return from_ms(to_ms(instant))
    except ValueError:
        return instant[:24]


def line_of(row: Row) -> Text:
    """One aligned line."""
    text = Text(f"{utc(row.at):<24}  ", no_wrap=True, overflow="ellipsis")
    text.append(f"{row.what:<12}", style=STYLES.get(row.what, "cyan"))
    text.append(f"{row.channel:<17}{row.segment:<9}{row.amount:>18}  {row.who:<12}  {row.more}")
    return text


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
