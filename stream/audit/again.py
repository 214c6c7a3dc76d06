"""A recorded case put before the pipeline again: what the engine saw of the world, from the audit.

Application or answer, offer, bureau view, and the standing of ledger, switches
and breaker are all in the record. They are handed to the engine's own pipeline
through the same ports, so a case decided again takes the same path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from stream.batch import Batch
from stream.codec.headers import cloud_event
from stream.domain.application import Application
from stream.domain.application_event import ApplicationEvent
from stream.domain.bureau import BureauFeatures
from stream.domain.control import Limits, Raised, Switches
from stream.domain.decision import Audit, Decision, RuleHit, Standing
from stream.domain.draft import Draft
from stream.domain.instant import to_ms
from stream.domain.ledger import Ledger, Referred
from stream.domain.topics import APPLICATIONS, AUDIT, DECISIONS, REVIEWS
from stream.domain.whitelist import WhitelistEntry
from stream.pipeline import Circumstances, Pipeline
from stream.ports import Record


class Again(NamedTuple):
    """What became of a recorded case: its audit record, with both records' bytes, or why none."""

    audit: Audit | None
    value: bytes = b""
    decision: bytes = b""
    set_aside: str = ""
    """The field for which the engine would not take the case today."""


def decide_again(pipeline: Pipeline, audits: Sequence[Audit]) -> list[Again | None]:
    """Each recorded case, decided once more; None where the record holds nothing to decide.

    Cases of the same circumstances go through the pipeline together, each with
    what the ledger, the store and the switches said of it alone.
    """
    found: list[Again | None] = [None] * len(audits)
    for group in _grouped(audits):
        batch = _run(pipeline, group.audits, group.records)
        made = _made(batch)
        for index, record in zip(group.indices, group.records, strict=True):
            found[index] = made.get(id(record), Again(None, set_aside="not decided"))
    return found


def decide_instead(pipeline: Pipeline, audit: Audit, others: Sequence[Application]) -> Batch:
    """Other applications in the recorded one's place, each as if it alone had been sent.

    They must differ in their ids; what one is promised is not counted against the next.
    """
    return _run(pipeline, [audit], [_record_of(audit, APPLICATIONS, other) for other in others])


class _Group:
    """Cases that one run of the pipeline may decide: a person and an id occur once."""

    def __init__(self) -> None:
        self.indices: list[int] = []
        self.audits: list[Audit] = []
        self.records: list[Record] = []
        self._taken: set[str] = set()

    def take(self, index: int, audit: Audit, record: Record) -> bool:
        """Take the case in; False where it must go into another group."""
        decision = audit.decision
        names = {decision.applicant_token, decision.application_id}
        if not self._taken.isdisjoint(names):
            return False
        self._taken |= names
        self.indices.append(index)
        self.audits.append(audit)
        self.records.append(record)
        return True


def _grouped(audits: Sequence[Audit]) -> Iterator[_Group]:
    """The cases by their circumstances; those with nothing to decide are in no group."""
    groups: dict[tuple[object, ...], list[_Group]] = {}
    for index, audit in enumerate(audits):
        asked = audit.application or audit.referral_outcome
        if asked is None:
            continue
        topic = APPLICATIONS if audit.application is not None else REVIEWS
        record = _record_of(audit, topic, asked)
        alike = groups.setdefault(_circumstances(audit), [])
        if not any(group.take(index, audit, record) for group in alike):
            alike.append(_Group())
            alike[-1].take(index, audit, record)
    for found in groups.values():
        yield from found


def _circumstances(audit: Audit) -> tuple[object, ...]:
    """All that a run of the pipeline is given for a whole batch."""
    standing = audit.standing
    return (
        audit.source_partition,
        audit.decision.decided_at,
        audit.decision.segment,
        standing.partitions,
        standing.store_age_ms,
        standing.stopped_by,
        standing.raised_points,
        standing.tightened_by,
        standing.control_version,
        standing.approvals_max,
        standing.amount_max_fen,
    )


def _made(batch: Batch) -> dict[int, Again]:
    """What each record of a batch became, by the record's identity."""
    decided = [out.value or b"" for out in batch.outputs if out.topic == DECISIONS]
    audited = [out.value or b"" for out in batch.outputs if out.topic == AUDIT]
    made = {
        id(record): Again(audit, value, decision)
        # Audit records of what was set aside come first.
        for (record, audit), value, decision in zip(
            batch.audits, audited[len(batch.buried) :], decided, strict=True
        )
    }
    for record, error in batch.buried:
        made[id(record)] = Again(None, set_aside=error.field)
    return made


def _run(pipeline: Pipeline, audits: Sequence[Audit], records: Sequence[Record]) -> Batch:
    """Decide records under what these audits say; the first speaks for all that they share."""
    first = audits[0]
    now_ms, standing = to_ms(first.decision.decided_at), first.standing
    under = Circumstances(
        now_ms,
        _Seen(now_ms - standing.store_age_ms, audits),
        _Ordered.of(standing),
        standing.partitions,
    )
    return pipeline.run(records, {first.source_partition: _Told(audits)}, under)


class _Told(Draft):
    """A ledger that says of each person what it said when the decision was made.

    The breaker's count is asked for right after the person's exposure, and is that case's.
    """

    def __init__(self, audits: Sequence[Audit]) -> None:
        super().__init__(Ledger())
        self._audits = {audit.decision.applicant_token: audit for audit in audits}
        self._by_id = {audit.decision.application_id: audit for audit in audits}
        self._asked = audits[0].standing

    def exposure_fen(self, applicant_token: str) -> int:
        self._asked = self._audits[applicant_token].standing
        return self._asked.exposure_fen

    def cancelled(self, applicant_token: str, application_id: str) -> bool:
        del application_id
        return self._audits[applicant_token].standing.cancelled

    def human_asked(self, applicant_token: str, application_id: str) -> bool:
        del application_id
        return self._audits[applicant_token].standing.human_asked

    def revoked_at_ms(self, applicant_token: str) -> int | None:
        return self._audits[applicant_token].standing.revoked_at_ms

    def approved_since(self, segment: str, since_ms: int) -> tuple[int, int]:
        del segment, since_ms
        return self._asked.approved_count, self._asked.approved_fen

    def take(self, fact: Decision | ApplicationEvent) -> None:
        """Nothing: what is decided again must not weigh on the next case."""

    def review_of(self, application_id: str) -> str | None:
        del application_id
        return None

    def referral(self, application_id: str) -> Referred | None:
        audit = self._by_id.get(application_id)
        return None if audit is None else _referred(audit)


class _Seen:
    """The store as it was for each of these people."""

    def __init__(self, fresh_at_ms: int, audits: Sequence[Audit]) -> None:
        self.fresh_at_ms = fresh_at_ms
        self._audits = {audit.decision.applicant_token: audit for audit in audits}

    def whitelist(self, applicant_token: str) -> WhitelistEntry | None:
        return self._audits[applicant_token].whitelist_entry

    def bureau(self, applicant_token: str) -> BureauFeatures | None:
        return self._audits[applicant_token].bureau


class _Ordered(Switches, frozen=True):
    """Switches that stood as the record says: one stop or none, the guard, the breaker's share."""

    stopped_by: str | None = None
    above: Raised | None = None
    share: Limits = Limits(0, 0)

    @classmethod
    def of(cls, standing: Standing) -> _Ordered:
        """As they were for this decision; its share is multiplied back to the whole limit."""
        whole = Limits(
            standing.approvals_max * standing.partitions,
            standing.amount_max_fen * standing.partitions,
            standing.limited_by,
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
        return self.share


def _record_of(audit: Audit, topic: str, asked: msgspec.Struct) -> Record:
    """A record of what was asked, as far as the engine read it."""
    decision, outcome = audit.decision, audit.referral_outcome
    asked_at = decision.submitted_at if outcome is None else outcome.answered_at
    return Record(
        topic,
        audit.source_partition,
        audit.source_offset,
        decision.applicant_token.encode(),
        msgspec.json.encode(asked),
        cloud_event("loan.replayed.v1", "/replay", decision.application_id, decision.decided_at),
        # The engine's clock may have been set back; by the record's own it was not in the future.
        max(to_ms(decision.decided_at), to_ms(asked_at)),
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
