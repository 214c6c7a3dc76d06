"""What `tenminute publish` can send, and how each is looked at: as the engine would."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

import msgspec

from stream.codec.application_v1 import decode_application
from stream.codec.event_v1 import decode_event, decode_review
from stream.codec.headers import SCHEMA_VERSION
from stream.domain.topics import APPLICATIONS, EVENTS, REVIEWS
from stream.ports import Record


class Kind(StrEnum):
    """What the lines of a file are."""

    APPLICATIONS = "applications"
    EVENTS = "events"
    REVIEWS = "reviews"


class Sound(NamedTuple):
    """What the key and headers of a sound line are made of."""

    applicant_token: str
    source: str
    event_id: str
    at: str


class Sheet(NamedTuple):
    """Where one kind goes, and who says whether a line is sound; PoisonError when it is not."""

    topic: str
    event_type: str
    look: Callable[[bytes], Sound]


class _Whose(msgspec.Struct):
    applicant_token: str


_whose = msgspec.json.Decoder(_Whose)


def _application(value: bytes) -> Sound:
    app = decode_application(value)
    source = f"/channels/{app.channel.value}"
    return Sound(app.applicant_token, source, app.application_id, app.submitted_at)


def _event(value: bytes) -> Sound:
    event = decode_event(_as_polled(EVENTS, value))
    return Sound(event.applicant_token, "/publish", event.event_id, event.occurred_at)


def _review(value: bytes) -> Sound:
    record = _as_polled(REVIEWS, value)
    review = decode_review(record, record.timestamp_ms)
    return Sound(review.applicant_token, "/reviewers", review.review_id, review.answered_at)


def _as_polled(topic: str, value: bytes) -> Record:
    """The record this line would be: keyed by its own token, written now."""
    try:
        key = _whose.decode(value).applicant_token.encode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        key = None  # the decoder has more to say about such a line
    headers = (("schema_version", SCHEMA_VERSION.encode()),)
    return Record(topic, 0, 0, key, value, headers, time.time_ns() // 1_000_000)


SHEETS = {
    Kind.APPLICATIONS: Sheet(APPLICATIONS, "loan.application.v1", _application),
    Kind.EVENTS: Sheet(EVENTS, "loan.application.event.v1", _event),
    Kind.REVIEWS: Sheet(REVIEWS, "loan.referral.outcome.v1", _review),
}
