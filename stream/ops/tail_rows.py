"""One line for each record of a topic: aligned, and naming nobody.

Applicant tokens are shortened, and the bytes of a dead letter are never shown:
they may hold what a person typed.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from rich.text import Text

from stream.domain.instant import from_ms, to_ms

TOKEN_SHOWN = 9


class Stream(StrEnum):
    """What can be followed."""

    APPLICATIONS = "applications"
    EVENTS = "events"
    DECISIONS = "decisions"
    REVIEWS = "reviews"
    AUDIT = "audit"
    DLQ = "dlq"
    CONTROL = "control"
    ACKS = "acks"
    OUTCOMES = "outcomes"
    FUNNEL = "funnel"


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
    return _ROWS[stream](value, headers)


def _application(value: dict[str, Any], headers: dict[str, str]) -> Row:
    del headers
    amount = value.get("requested_amount_fen")
    return _of_person(value, ("submitted_at", "application"), amount)


def _event(value: dict[str, Any], headers: dict[str, str]) -> Row:
    del headers
    return _of_person(value, ("occurred_at", str(value.get("kind", ""))), None)


def _decision(value: dict[str, Any], headers: dict[str, str]) -> Row:
    del headers
    what = str(value.get("outcome", ""))
    amount = value.get("requested_amount_fen" if what == "refer" else "approved_amount_fen")
    row = _of_person(value, ("decided_at", what), amount)
    reason = (value.get("reasons") or [{}])[0].get("text_en", "")
    return row._replace(more=f"{row.more}  {reason}".rstrip())


def _review(value: dict[str, Any], headers: dict[str, str]) -> Row:
    del headers
    amount = value.get("approved_amount_fen") or None
    return _of_person(value, ("answered_at", str(value.get("answer", ""))), amount)


def _outcome(value: dict[str, Any], headers: dict[str, str]) -> Row:
    del headers
    what = str(value.get("event", ""))
    return _of_person(value, ("occurred_at", what), value.get("amount_fen"))


def _audit(value: dict[str, Any], headers: dict[str, str]) -> Row:
    if "decision" not in value and "source_topic" in value:  # whatever its headers say
        origin = f"{value.get('source_partition')}/{value.get('source_offset')}"
        more = f"{value.get('field', '')}, {value.get('size_bytes', '')} bytes"
        return Row(headers.get("ce_time", ""), str(value.get("reason")), "", "", "", origin, more)
    row = _decision(value.get("decision", {}), headers)
    return row._replace(more=f"{len(value.get('rules', ()))} rules · {row.more}")


def _dead_letter(value: dict[str, Any], headers: dict[str, str]) -> Row:
    del value
    origin = f"{headers.get('x-origin-partition')}/{headers.get('x-origin-offset')}"
    more = f"{headers.get('x-error-field', '')}: {headers.get('x-error-detail', '')}"
    reason = headers.get("x-error-reason", "")
    return Row(headers.get("ce_time", ""), reason, "", "", "", origin, more)


def _command(value: dict[str, Any], headers: dict[str, str]) -> Row:
    """A command as it was written: whether it counts, its signature decides."""
    scope = f"{value.get('scope', '')} {value.get('name', '')}".strip()
    by = str(value.get("issued_by", ""))
    what = str(value.get("action", "default"))
    return Row(
        headers.get("ce_time", ""), what, "", "", "", by, f"{scope}  {value.get('reason', '')}"
    )


def _ack(value: dict[str, Any], headers: dict[str, str]) -> Row:
    del headers
    at, what = str(value.get("applied_at", "")), str(value.get("result", ""))
    last = value.get("last_affected_decided_at") or value.get("why") or ""
    more = f"{value.get('command_id') or ''}  {last}".strip()
    return Row(at, what, "", "", "", f"offset {value.get('control_offset', '')}", more)


def _funnel(value: dict[str, Any], headers: dict[str, str]) -> Row:
    names = ("submitted", "decided", "approved", "paid", "paid_within_ten_minutes")
    more = " → ".join(f"{value.get(f'{name}_count', 0):,}" for name in names)
    channel, segment = str(value.get("channel", "")), str(value.get("segment", ""))
    where = f"partition {value.get('partition', '')}"
    return Row(headers.get("ce_time", ""), "funnel", channel, segment, "", where, more)


def _of_person(value: dict[str, Any], at_and_what: tuple[str, str], amount: object) -> Row:
    at, what = at_and_what
    channel, segment = str(value.get("channel", "")), str(value.get("segment", ""))
    who, more = short(value.get("applicant_token")), str(value.get("application_id") or "")
    return Row(str(value.get(at, "")), what, channel, segment, yuan(amount), who, more)


_ROWS: dict[Stream, Callable[[dict[str, Any], dict[str, str]], Row]] = {
    Stream.APPLICATIONS: _application,
    Stream.EVENTS: _event,
    Stream.DECISIONS: _decision,
    Stream.REVIEWS: _review,
    Stream.AUDIT: _audit,
    Stream.DLQ: _dead_letter,
    Stream.CONTROL: _command,
    Stream.ACKS: _ack,
    Stream.OUTCOMES: _outcome,
    Stream.FUNNEL: _funnel,
}


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
