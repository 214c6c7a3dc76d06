"""Send dead letters again: the original record, to the topic it came from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from confluent_kafka import KafkaError, Message

from stream.codec.application_v1 import check_envelope, decode_application
from stream.codec.dead_letter_v1 import (
    REASONS,
    REPLAYED_FROM,
    DeadLetterError,
    Original,
    open_dead_letter,
    sealed_origin,
)
from stream.codec.event_v1 import decode_event, decode_review
from stream.codec.seal import SealError, Sealers
from stream.config import Settings
from stream.domain.topics import APPLICATIONS, EVENTS, INPUTS
from stream.edge.clients import producer
from stream.errors import BrokerError, PoisonError
from stream.ops.dlq_read import Found
from stream.ports import Record

CONFLICT = "conflict"
CLOSED = "cannot be opened"
NOT_KEPT = "not kept: the channel sends it again; set dead_letter_key_file for those to come"
FLUSH_SECONDS = 30.0
IN_FLIGHT_MAX = 10_000
"""Records not yet acknowledged: some ten megabytes."""


class Plan(NamedTuple):
    """What becomes of one letter: `original` to be sent, or why it stays; `verdict` if sent."""

    found: Found
    original: Original | None
    verdict: str


def superseded_by_replay(letters: Sequence[Found], sealers: Sealers) -> set[str]:
    """Places whose record was sent again and died again: its newest letter stands for it.

    By what is sealed, not by the header: anyone could mark a letter as sent. What
    cannot be opened marks none; a record sent twice is decided once.
    """
    return {place for found in letters if (place := _was(found, sealers)) is not None}


def _was(found: Found, sealers: Sealers) -> str | None:
    try:
        return sealed_origin(found.letter, sealers)
    except (SealError, DeadLetterError):
        return None


def plan(
    letters: Sequence[Found], sealers: Sealers, superseded: set[str], *, conflicts: bool
) -> Iterator[Plan]:
    """Decide for each letter whether it is sent again, and what the decoder would say now.

    Only what came from a topic the engine reads goes anywhere, and only what was
    sealed, under its sealed reason: an engine without a key keeps no bytes, so those in
    the open are another's.
    """
    for found in letters:
        letter = found.letter
        if letter.topic not in INPUTS:
            yield Plan(found, None, "from no topic that the engine reads: forged?")
        elif letter.reason not in REASONS:
            yield Plan(found, None, "of no reason that an engine gives: forged?")
        elif letter.outline is not None:
            yield Plan(found, None, NOT_KEPT)
        elif not letter.sealed:
            yield Plan(found, None, "not sealed, and no engine keeps that: forged?")
        elif found.place in superseded:
            yield Plan(found, None, "sent again before")
        elif letter.truncated or letter.envelope is None:
            yield Plan(found, None, "cut: ask the channel to send it again")
        elif letter.reason == CONFLICT and not conflicts:
            yield Plan(found, None, "a conflict: only with --reason conflict")
        else:
            yield _opened(found, sealers)


def _opened(found: Found, sealers: Sealers) -> Plan:
    try:
        original = open_dead_letter(found.letter, sealers)
    except (SealError, DeadLetterError) as error:
        return Plan(found, None, f"{CLOSED}: {error}")
    fault = _fault(found, original)
    return Plan(found, original if fault is None else None, fault or "would pass")


def _fault(found: Found, original: Original) -> str | None:
    """What the decoder still says against it; a known id is the ledger's to find."""
    letter, now_ms = found.letter, time.time_ns() // 1_000_000
    record = Record(
        letter.topic, letter.partition, letter.offset, original.key, original.value,
        original.headers, letter.timestamp_ms,
    )  # fmt: skip
    try:
        if letter.topic == APPLICATIONS:
            application = decode_application(record.value or b"")
            check_envelope(application, record.key, record.headers)
        elif letter.topic == EVENTS:
            decode_event(record)
        else:
            decode_review(record, now_ms)
    except PoisonError as error:
        return f"still {error.reason} at {error.field}"
    return None


def send(settings: Settings, plans: Sequence[Plan]) -> Iterator[Plan]:
    """Publish each original to its topic, keyed as it was; BrokerError when one is not taken."""
    client, failed = producer(settings), []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error.name())

    for each in plans:
        if each.original is None:
            continue
        headers: list[tuple[str, str | bytes | None]] = [
            (name, value) for name, value in each.original.headers if name != REPLAYED_FROM
        ]
        headers.append((REPLAYED_FROM, each.found.place.encode()))
        while len(client) >= IN_FLIGHT_MAX:
            client.poll(0.1)
        client.produce(
            each.found.letter.topic,
            key=each.original.key,
            value=each.original.value,
            headers=headers,
            on_delivery=delivered,
        )
        client.poll(0)
        yield each
    left = client.flush(FLUSH_SECONDS)
    if left or failed:
        why = failed[0] if failed else "no answer"
        raise BrokerError(
            f"{left + len(failed)} records not acknowledged: {why}",
            fix="send again: what was taken is recognised by its id",
        )
