"""Decide again from the audit record alone, with the engine's own pipeline, and compare.

What the engine saw of the world is in the record: application or answer, offer,
bureau view, and the standing of ledger, switches and breaker. It is handed to
the pipeline through the same ports. Policy and models are found by the hash
stamped on the decision; under another hash nothing is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from stream.codec.decision_v1 import DEAD_LETTER_AUDITED, decode_audit
from stream.codec.headers import cloud_event
from stream.domain.bureau import BureauFeatures
from stream.domain.control import Limits, Switches
from stream.domain.decision import Audit, Decision, RuleHit, Standing
from stream.domain.draft import Draft
from stream.domain.instant import to_ms
from stream.domain.ledger import Ledger, Referred
from stream.domain.topics import APPLICATIONS, AUDIT, REVIEWS
from stream.domain.whitelist import WhitelistEntry
from stream.pipeline import Circumstances, Pipeline
from stream.policy.model import Policy
from stream.ports import Record, Scorers


class Verdict(StrEnum):
    """What came of deciding one record again."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    OTHER_POLICY = "other policy"
    OTHER_MODEL = "other model"
    UNREADABLE = "unreadable"
    NOT_A_DECISION = "not a decision"


class Replayed(NamedTuple):
    """The verdict on one record; `fields` names what differs, values never."""

    verdict: Verdict
    application_id: str = ""
    fields: tuple[str, ...] = ()
    detail: str = ""


class _Recorded(msgspec.Struct):
    """The decision inside an audit record, byte for byte."""

    decision: msgspec.Raw


_recorded = msgspec.json.Decoder(_Recorded)


class Replayer:
    """Decides audit records again under one policy and one set of models."""

    def __init__(self, scorers: Scorers, policy: Policy) -> None:
        """Pair policy and models as the engine does; KeyError names a missing model."""
        self._policy = policy
        self._pipeline = Pipeline(scorers, policy)
        self._models = {each.manifest.onnx_sha256 for each in scorers.values()}

    def replay(self, value: bytes, ce_type: str | None = None) -> Replayed:
        """One record of `decision.audit`, decided again and compared byte for byte."""
        if ce_type == DEAD_LETTER_AUDITED:
            return Replayed(Verdict.NOT_A_DECISION)
        try:
            audit, recorded = decode_audit(value), bytes(_recorded.decode(value).decision)
            foreign = self._foreign(audit.decision)
            again = foreign or self._again(audit)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, KeyError) as error:
            return Replayed(Verdict.UNREADABLE, detail=type(error).__name__)
        if isinstance(again, Replayed):
            return again
        return _compared(audit, recorded, again)

    def _foreign(self, decision: Decision) -> Replayed | None:
        """Why the decision cannot be made again here, if so."""
        name, used = decision.application_id, decision.policy.sha256
        if used != self._policy.sha256:
            detail = f"decided under policy {used[:16]}, this is {self._policy.sha256[:16]}"
            return Replayed(Verdict.OTHER_POLICY, name, detail=detail)
        model = decision.model
        if model is not None and model.sha256 not in self._models:
            detail = f"scored by {model.model_id} {model.version}, {model.sha256[:16]}"
            return Replayed(Verdict.OTHER_MODEL, name, detail=detail)
        return None

    def _again(self, audit: Audit) -> tuple[bytes, Audit] | Replayed:
        """The decision made again and its audit record."""
        name = audit.decision.application_id
        record = _record_of(audit)
        if record is None:
            return Replayed(Verdict.UNREADABLE, name, detail="neither application nor answer")
        now_ms, standing = to_ms(audit.decision.decided_at), audit.standing
        told = _Told(standing, audit)
        under = Circumstances(
            now_ms,
            _Seen(now_ms - standing.store_age_ms, audit.whitelist_entry, audit.bureau),
            _Ordered.of(standing),
            standing.partitions,
        )
        batch = self._pipeline.run([record], {record.partition: told}, under)
        value = next((out.value for out in batch.outputs if out.topic == AUDIT), None)
        if not batch.audits or value is None:
            buried = ", ".join(error.field for _, error in batch.buried)
            fields = ("decision",)
            detail = f"set aside now: {buried}" if buried else "not decided now"
            return Replayed(Verdict.DIFFERENT, name, fields, detail)
        return bytes(_recorded.decode(value).decision), batch.audits[0][1]


class _Told(Draft):
    """A ledger that says what it said when the decision was made."""

    def __init__(self, standing: Standing, audit: Audit) -> None:
        super().__init__(Ledger())
        self._standing, self._audit = standing, audit

    def exposure_fen(self, applicant_token: str) -> int:
        del applicant_token
        return self._standing.exposure_fen

    def cancelled(self, applicant_token: str, application_id: str) -> bool:
        del applicant_token, application_id
        return self._standing.cancelled

    def human_asked(self, applicant_token: str, application_id: str) -> bool:
        del applicant_token, application_id
        return self._standing.human_asked

    def revoked_at_ms(self, applicant_token: str) -> int | None:
        del applicant_token
        return self._standing.revoked_at_ms

    def approved_since(self, segment: str, since_ms: int) -> tuple[int, int]:
        del segment, since_ms
        return self._standing.approved_count, self._standing.approved_fen

    def referral(self, application_id: str) -> Referred | None:
        del application_id
        return _referred(self._audit)


class _Seen(NamedTuple):
    """The store as it was for this one person."""

    fresh_at_ms: int
    entry: WhitelistEntry | None
    view: BureauFeatures | None

    def whitelist(self, applicant_token: str) -> WhitelistEntry | None:
        del applicant_token
        return self.entry

    def bureau(self, applicant_token: str) -> BureauFeatures | None:
        del applicant_token
        return self.view


class _Ordered(Switches, frozen=True):
    """Switches that stood as the record says: one stop or none, and the breaker's share."""

    stopped_by: str | None = None
    share: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, standing: Standing) -> _Ordered:
        """As they were for this decision; its share is multiplied back to the whole limit."""
        whole = (
            standing.approvals_max * standing.partitions,
            standing.amount_max_fen * standing.partitions,
        )
        return cls(version=standing.control_version, stopped_by=standing.stopped_by, share=whole)

    def stopped(self, segment: str, channel: str, model_id: str) -> str | None:
        del segment, channel, model_id
        return self.stopped_by

    def limits(self, segment: str) -> Limits:
        del segment
        return Limits(*self.share)


def _record_of(audit: Audit) -> Record | None:
    """The record that was decided, as far as it was read."""
    decision = audit.decision
    asked = audit.application or audit.referral_outcome
    if asked is None:
        return None
    kind, at = "loan.replayed.v1", decision.decided_at
    return Record(
        APPLICATIONS if audit.application is not None else REVIEWS,
        audit.source_partition,
        audit.source_offset,
        decision.applicant_token.encode(),
        msgspec.json.encode(asked),
        cloud_event(kind, "/replay", decision.application_id, at),
        to_ms(at),
    )


def _referred(audit: Audit) -> Referred | None:
    """The referral that a reviewer answered; None at the first stage."""
    answer, decision = audit.referral_outcome, audit.decision
    if answer is None:
        return None
    return msgspec.structs.replace(
        Referred.of(decision),
        decision_id=answer.decision_id,
        overridable=_overridable(audit.rules),
    )


def _overridable(rules: Sequence[RuleHit]) -> bool:
    """What the rule saw; a decline never asks."""
    return any(hit.rule == "override" and hit.result == "pass" for hit in rules)


def _compared(audit: Audit, recorded: bytes, again: tuple[bytes, Audit]) -> Replayed:
    name = audit.decision.application_id
    now, made = again
    # The decision is compared as bytes; what it followed from, whichever release writes it.
    same = msgspec.structs.replace(made, engine_version=audit.engine_version)
    if now == recorded and same == audit:
        return Replayed(Verdict.IDENTICAL, name)
    before, after = msgspec.to_builtins(audit), msgspec.to_builtins(same)
    fields = tuple(_differing(before, after, "")) or ("the decision's bytes",)
    return Replayed(Verdict.DIFFERENT, name, fields)


def _differing(one: Any, other: Any, path: str) -> Iterator[str]:  # noqa: ANN401
    """Paths of the fields that are not equal, in the order of the record."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            name = f"{path}.{key}" if path else key
            yield from _differing(one.get(key), other.get(key), name)
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        for index in range(max(len(one), len(other))):
            left, right = (part[index] if index < len(part) else None for part in (one, other))
            yield from _differing(left, right, f"{path}[{index}]")
    elif one != other:
        yield path
