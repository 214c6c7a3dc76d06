"""`disbursement.decisions` and `decision.audit`, version 1."""

from __future__ import annotations

import hashlib

import msgspec

from stream import __version__
from stream.codec.headers import Headers, cloud_event
from stream.domain.decision import (
    Audit,
    DeadLetterAudit,
    Decision,
)
from stream.domain.instant import from_ms
from stream.errors import PoisonError
from stream.ports import Record

AUDITED = "loan.decision.audit.v1"
DEAD_LETTER_AUDITED = "loan.dead_letter.audit.v1"
"""The two kinds of record on `decision.audit`, by their `ce_type`."""

_encoder = msgspec.json.Encoder()
_decision = msgspec.json.Decoder(Decision)
_audit = msgspec.json.Decoder(Audit)
_dead_letter_audit = msgspec.json.Decoder(DeadLetterAudit)


class _Named(msgspec.Struct, gc=False):
    decision_id: str
    decided_at: str


class _Told(msgspec.Struct, gc=False):
    """What the headers of an audit record repeat; a decision and a dead letter share no field."""

    decision: _Named | None = None
    source_topic: str | None = None
    source_partition: int = -1
    source_offset: int = -1
    occurred_at: str = ""


_told = msgspec.json.Decoder(_Told)


def encode_decision(decision: Decision) -> bytes:
    """The value of one decision."""
    return _encoder.encode(decision)


def decision_headers(decision: Decision) -> Headers:
    """The headers of one decision; `ce_id` is the decision id."""
    return cloud_event("loan.decision.v1", "/engine", decision.decision_id, decision.decided_at)


def decision_audit_headers(decision: Decision) -> Headers:
    """The headers of the audit record of one decision."""
    return cloud_event(AUDITED, "/engine", decision.decision_id, decision.decided_at)


def decode_decision(value: bytes) -> Decision:
    """The decision in a record value; msgspec.DecodeError when it is none."""
    return _decision.decode(value)


def encode_audit(audit: Audit) -> bytes:
    """The value of one audit record; parts that are bytes already (`msgspec.Raw`) are copied."""
    return _encoder.encode(audit)


def encode_dead_letter_audit(
    record: Record, error: PoisonError, now_ms: int
) -> tuple[bytes, Headers]:
    """Value and headers of the audit record of one dead letter."""
    origin, at = f"{record.topic}/{record.partition}/{record.offset}", from_ms(now_ms)
    value = record.value or b""
    audit = DeadLetterAudit(
        reason=error.reason,
        field=error.field,
        source_topic=record.topic,
        source_partition=record.partition,
        source_offset=record.offset,
        sha256=hashlib.sha256(value).hexdigest(),
        size_bytes=len(value),
        occurred_at=at,
        engine_version=__version__,
    )
    return _encoder.encode(audit), cloud_event(DEAD_LETTER_AUDITED, "/engine", origin, at)


def audit_headers(value: bytes) -> Headers | None:
    """The headers an engine gives this audit record, by its value alone; None when it is none."""
    try:
        told = _told.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    named, topic = told.decision, told.source_topic
    if named is not None and topic is None:
        return cloud_event(AUDITED, "/engine", named.decision_id, named.decided_at)
    if named is None and topic is not None:
        origin = f"{topic}/{told.source_partition}/{told.source_offset}"
        return cloud_event(DEAD_LETTER_AUDITED, "/engine", origin, told.occurred_at)
    return None


def is_dead_letter_audit(value: bytes) -> bool:
    """Whether a record value is the audit of a dead letter, whatever its headers say."""
    try:
        _dead_letter_audit.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def decision_audit(value: bytes) -> Audit | None:
    """The audit of a decision, None of a dead letter, by the value alone.

    msgspec.DecodeError or UnicodeDecodeError when it is neither. A header is not asked: whoever
    may write the topic could label a decision as what is passed over.
    """
    try:
        return decode_audit(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        if is_dead_letter_audit(value):
            return None
        raise


def decode_audit(value: bytes) -> Audit:
    """The audit record in a record value; msgspec.DecodeError when it is none."""
    return _audit.decode(value)
