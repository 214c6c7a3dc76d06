"""A recorded case put before the pipeline again: what the engine saw of the world, from the audit.

Application or answer, offer, bureau view, and the standing of ledger, switches
and breaker are all in the record. They are handed to the engine's own pipeline
through the same ports, so a case decided again takes the same path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from stream.batch import Batch
from stream.codec.headers import cloud_event
from stream.domain.application import Application
from stream.domain.bureau import BureauFeatures
from stream.domain.control import Limits, Raised, Switches
from stream.domain.decision import Audit, RuleHit, Standing
from stream.domain.draft import Draft
from stream.domain.instant import to_ms
from stream.domain.ledger import Ledger, Referred
from stream.domain.topics import APPLICATIONS, REVIEWS
from stream.domain.whitelist import WhitelistEntry
from stream.pipeline import Circumstances, Pipeline
from stream.ports import Record


def decide_again(pipeline: Pipeline, audit: Audit) -> Batch | None:
    """The recorded case, decided once more; None when the record holds nothing to decide."""
    asked = audit.application or audit.referral_outcome
    if asked is None:
        return None
    topic = APPLICATIONS if audit.application is not None else REVIEWS
    return _run(pipeline, audit, [_record_of(audit, topic, asked)])


def decide_instead(pipeline: Pipeline, audit: Audit, others: Sequence[Application]) -> Batch:
    """Other applications in the recorded one's place, each as if it alone had been sent.

    They must differ in their ids; what one is promised is not counted against the next.
    """
    return _run(pipeline, audit, [_record_of(audit, APPLICATIONS, other) for other in others])


def _run(pipeline: Pipeline, audit: Audit, records: Sequence[Record]) -> Batch:
    now_ms, standing = to_ms(audit.decision.decided_at), audit.standing
    under = Circumstances(
        now_ms,
        _Seen(now_ms - standing.store_age_ms, audit.whitelist_entry, audit.bureau),
        _Ordered.of(standing),
        standing.partitions,
    )
    return pipeline.run(records, {audit.source_partition: _Told(standing, audit)}, under)


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
    """Switches that stood as the record says: one stop or none, the guard, the breaker's share."""

    stopped_by: str | None = None
    above: Raised | None = None
    share: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, standing: Standing) -> _Ordered:
        """As they were for this decision; its share is multiplied back to the whole limit."""
        whole = (
            standing.approvals_max * standing.partitions,
            standing.amount_max_fen * standing.partitions,
        )
        by = standing.tightened_by
        return cls(
            version=standing.control_version,
            stopped_by=standing.stopped_by,
            above=Raised(standing.raised_points, by) if by is not None else None,
            share=whole,
        )

    def stopped(self, segment: str, channel: str, model_id: str) -> str | None:
        del segment, channel, model_id
        return self.stopped_by

    def raised(self, segment: str) -> Raised | None:
        del segment
        return self.above

    def limits(self, segment: str) -> Limits:
        del segment
        return Limits(*self.share)


def _record_of(audit: Audit, topic: str, asked: msgspec.Struct) -> Record:
    """A record of what was asked, as far as the engine read it."""
    decision = audit.decision
    return Record(
        topic,
        audit.source_partition,
        audit.source_offset,
        decision.applicant_token.encode(),
        msgspec.json.encode(asked),
        cloud_event("loan.replayed.v1", "/replay", decision.application_id, decision.decided_at),
        to_ms(decision.decided_at),
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
