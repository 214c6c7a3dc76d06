"""`loan.application-events` and `loan.referral-outcomes`, version 1."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from stream.codec.application_v1 import check_header, invalid, refuse_oversize
from stream.domain.application_event import ApplicationEvent, EventKind
from stream.domain.instant import to_ms
from stream.domain.review import Answer, ReferralOutcome
from stream.errors import PoisonError
from stream.limits import CLOCK_SKEW_MS_MAX
from stream.ports import Record

_event = msgspec.json.Decoder(ApplicationEvent)
_review = msgspec.json.Decoder(ReferralOutcome)
_T = TypeVar("_T", ApplicationEvent, ReferralOutcome)


def decode_event(record: Record) -> ApplicationEvent:
    """One event; PoisonError names the field and what was expected.

    "In the future" is against the record's own timestamp, so that a ledger
    restored years later takes in what was taken in then.
    """
    event = _decode(record, _event)
    _check_instant("occurred_at", event.occurred_at, record.timestamp_ms)
    if event.application_id is None and event.kind is not EventKind.CONSENT_REVOKED:
        raise PoisonError("invalid", "application_id", f"missing, {event.kind.value} needs it")
    return event


def decode_review(record: Record, now_ms: int) -> ReferralOutcome:
    """One reviewer's answer; PoisonError names the field and what was expected."""
    review = _decode(record, _review)
    _check_instant("answered_at", review.answered_at, max(now_ms, record.timestamp_ms))
    if (review.answer is Answer.APPROVE) != (review.approved_amount_fen > 0):
        detail = "expected above 0 on an approval and 0 on a decline"
        raise PoisonError("invalid", "approved_amount_fen", detail)
    return review


def _decode(record: Record, decoder: msgspec.json.Decoder[_T]) -> _T:
    value = record.value or b""
    refuse_oversize(value)
    try:
        found = decoder.decode(value)
    except msgspec.ValidationError as error:
        raise invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise PoisonError("unreadable", "$", "not one UTF-8 JSON object") from None
    if record.key != found.applicant_token.encode():
        shape = "no key" if record.key is None else f"{len(record.key)} bytes"
        raise PoisonError("wrong_key", "key", f"{shape}, expected the applicant_token")
    check_header(record.headers)
    return found


def _check_instant(field: str, text: str, now_ms: int) -> None:
    try:
        at_ms = to_ms(text)
    except ValueError:
        detail = f"{len(text)} characters, expected RFC 3339 with a zone"
        raise PoisonError("invalid", field, detail) from None
    if at_ms > now_ms + CLOCK_SKEW_MS_MAX:
        raise PoisonError("invalid", field, "in the future")
