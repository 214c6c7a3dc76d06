"""`disbursement.decisions` and `decision.audit`, version 1."""

from __future__ import annotations

import msgspec

from stream.codec.headers import Headers, cloud_event
from stream.domain.decision import Audit, Decision

_encoder = msgspec.json.Encoder()
_decision = msgspec.json.Decoder(Decision)
_audit = msgspec.json.Decoder(Audit)


def encode_decision(decision: Decision) -> tuple[bytes, Headers]:
    """Value and headers of one decision; `ce_id` is the decision id."""
    headers = cloud_event("loan.decision.v1", "/engine", decision.decision_id, decision.decided_at)
    return _encoder.encode(decision), headers


def decode_decision(value: bytes) -> Decision:
    """The decision in a record value; msgspec.DecodeError when it is none."""
    return _decision.decode(value)


def encode_audit(audit: Audit) -> tuple[bytes, Headers]:
    """Value and headers of one audit record."""
    decision = audit.decision
    headers = cloud_event(
        "loan.decision.audit.v1", "/engine", decision.decision_id, decision.decided_at
    )
    return _encoder.encode(audit), headers


def decode_audit(value: bytes) -> Audit:
    """The audit record in a record value; msgspec.DecodeError when it is none."""
    return _audit.decode(value)
