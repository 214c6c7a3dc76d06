"""Whitelist entries and bureau features into the store the only way there is: their topics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from threading import Event

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from stream.codec.headers import Headers, cloud_event
from stream.config import Settings
from stream.demo.synthetic import Row, filler_bureau, filler_entries
from stream.demo.terms import LoanCase, Run
from stream.domain.instant import from_ms
from stream.domain.topics import BUREAU, WHITELIST
from stream.edge.clients import producer
from stream.errors import BrokerError

POLL_EVERY = 1_000
FLUSH_SECONDS = 60.0
STOP_FLUSH_SECONDS = 2.0
"""After Ctrl-C a broker that does not answer may hold up the end this long."""

Progress = Callable[[int], None]
"""Told how many records have been handed over so far."""

_encoder = msgspec.json.Encoder()


def whitelist_rows(cases: Iterable[LoanCase], run: Run, total: int) -> Iterator[Row]:
    """The entries of `cases`, filled up to `total` with people who will not apply."""
    own = [case.entry for case in cases if case.entry is not None]
    rows = (Row(entry.applicant_token.encode(), _encoder.encode(entry)) for entry in own)
    return chain(rows, filler_entries(run, max(0, total - len(own))))


def bureau_rows(cases: Iterable[LoanCase], run: Run, filler: int) -> Iterator[Row]:
    """The reports of `cases`, and those of the first `filler` other people."""
    own = [case.bureau for case in cases if case.bureau is not None]
    rows = (Row(report.applicant_token.encode(), _encoder.encode(report)) for report in own)
    return chain(rows, filler_bureau(run, filler))


def publish_whitelist(
    settings: Settings, rows: Iterable[Row], run: Run, progress: Progress, stop: Event
) -> int:
    """Send entries to `whitelist.entries`; see `publish_rows`."""
    headers = cloud_event(
        "whitelist.entry.v1", "/screening/demo", f"list-{run.name}-1", from_ms(run.now_ms)
    )
    return publish_rows(settings, WHITELIST, ((row, headers) for row in rows), progress, stop)


def publish_bureau(
    settings: Settings, rows: Iterable[Row], run: Run, progress: Progress, stop: Event
) -> int:
    """Send reports to `bureau.features`; see `publish_rows`."""
    headers = cloud_event(
        "bureau.features.v1", "/bureau/demo", f"bureau-{run.name}-1", from_ms(run.now_ms)
    )
    return publish_rows(settings, BUREAU, ((row, headers) for row in rows), progress, stop)


def publish_rows(
    settings: Settings,
    topic: str,
    rows: Iterable[tuple[Row, Headers]],
    progress: Progress,
    stop: Event,
) -> int:
    """Send every row and return the count acknowledged; BrokerError when one was not.

    Ends early, with what was sent acknowledged, once `stop` is set.
    """
    # A callback into Python for every success would cost more than the record itself.
    client = producer(
        settings,
        **{"linger.ms": 20, "batch.num.messages": 10_000, "delivery.report.only.error": True},
    )
    failed: list[str] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error.str())

    sent = 0
    for row, headers in rows:
        # CloudEvents: id is unique per source; the batch's id and the key make it so.
        own = [(name, value + b"/" + row.key if name == "ce_id" else value)
               for name, value in headers]  # fmt: skip
        produce(client, topic, row, own, delivered)
        sent += 1
        if sent % POLL_EVERY == 0:
            client.poll(0)
            progress(sent)
            if stop.is_set() or failed:
                break
    left = client.flush(flush_seconds(stop))
    progress(sent)
    if failed or left:
        reason = failed[0] if failed else "no answer"
        raise BrokerError(
            f"{topic}: {len(failed) + left} of {sent} records not acknowledged: {reason}",
            fix="check the broker with `tenminute doctor`, then run again",
        )
    return sent


def flush_seconds(stop: Event) -> float:
    """How long to wait for acknowledgements: little once a stop was asked for."""
    return STOP_FLUSH_SECONDS if stop.is_set() else FLUSH_SECONDS


def produce(
    client: Producer,
    topic: str,
    row: Row,
    headers: Headers,
    delivered: Callable[[KafkaError | None, Message], None],
) -> None:
    """Hand one record over, waiting while the local queue is full."""
    while True:
        try:
            client.produce(topic, row.value, row.key, headers=[*headers], on_delivery=delivered)
        except BufferError:
            client.poll(0.1)
        else:
            return
