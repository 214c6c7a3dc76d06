"""What one partition has already promised and been told: a set of facts, in any order.

The ledger is derived state. Its sources are `disbursement.decisions` and the
consumed part of `loan.application-events` of the same partition, so it needs no
changelog. Taking in a fact twice, or two facts the other way round, gives the
same ledger; that is why a snapshot and an overlapping tail rebuild it.

It reaches `LEDGER_WINDOW_MS` back from the newest decision it holds, never from
a clock. What is older is forgotten, and an application submitted before that
horizon is refused, so forgetting an id cannot decide it twice.

An event speaks of the application of that id *of that person*: what it says is
kept under both. One that names somebody else's application therefore changes
nothing of it, whichever of the two comes first.
"""

from __future__ import annotations

from msgspec import Struct, field

from stream.domain.application import Channel, Segment
from stream.domain.application_event import ApplicationEvent, EventKind
from stream.domain.approvals import Approvals
from stream.domain.chain import GENESIS, ChainHead
from stream.domain.decision import Decision, Outcome
from stream.domain.instant import to_ms
from stream.limits import CLOCK_SKEW_MS_MAX, LEDGER_WINDOW_MS

HOUR_MS = 3_600_000
_RELEASES = (EventKind.CANCEL, EventKind.EXPIRY)
_Whose = tuple[str, str]
"""Applicant token and application id: what an event speaks of."""


class Referred(Struct, frozen=True, gc=False):
    """What is kept of a referral, for the day a reviewer answers it."""

    decision_id: str
    applicant_token: str
    channel: Channel
    segment: Segment
    product_code: str
    requested_amount_fen: int
    term_months: int
    submitted_at: str
    consent_signed_at: str
    consent_expires_at: str
    overridable: bool
    application_sha256: str
    synthetic: bool

    @classmethod
    def of(cls, decision: Decision) -> Referred:
        """The kept part of a first-stage referral."""
        referral = decision.referral
        return cls(
            decision.decision_id,
            decision.applicant_token,
            decision.channel,
            decision.segment,
            decision.product_code,
            decision.requested_amount_fen,
            decision.term_months,
            decision.submitted_at,
            decision.consent_signed_at,
            decision.consent_expires_at,
            referral is not None and referral.overridable,
            decision.application_sha256,
            decision.synthetic,
        )


class Ledger(Struct):
    """Ids answered, money promised, events in force and the audit chain's head."""

    answered: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    """Application id to content hash, the hour of its latest decision and the applicant token."""
    referrals: dict[str, Referred] = field(default_factory=dict)
    reviewed: dict[str, str] = field(default_factory=dict)
    promised: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Application id to applicant token and fen."""
    exposures_fen: dict[str, int] = field(default_factory=dict)
    released: set[_Whose] = field(default_factory=set)
    asked: set[_Whose] = field(default_factory=set)
    revoked_ms: dict[str, int] = field(default_factory=dict)
    approved: dict[str, Approvals] = field(default_factory=dict)
    decided_by_hour: dict[int, list[str]] = field(default_factory=dict)
    told_by_hour: dict[int, list[_Whose]] = field(default_factory=dict)
    newest_ms: int = 0
    chain: ChainHead = GENESIS

    def __len__(self) -> int:
        """How many application ids are held as answered."""
        return len(self.answered)

    @property
    def horizon_ms(self) -> int:
        """Nothing submitted before this is decided any more."""
        return self.newest_ms - LEDGER_WINDOW_MS

    @property
    def forgotten_hour(self) -> int:
        """What was decided before this hour is forgotten; moves with the newest decision."""
        return (self.horizon_ms - CLOCK_SKEW_MS_MAX) // HOUR_MS

    def take(self, fact: Decision | ApplicationEvent) -> None:
        """Take in one committed fact; a second time changes nothing."""
        if isinstance(fact, Decision):
            self._take_decision(fact)
        else:
            self._take_event(fact)

    def content_of(self, application_id: str) -> str | None:
        """Content hash of the application already answered under this id, if any."""
        known = self.answered.get(application_id)
        return known[0] if known is not None else None

    def referral(self, application_id: str) -> Referred | None:
        """The first-stage referral of this id, while the window holds it."""
        return self.referrals.get(application_id)

    def review_of(self, application_id: str) -> str | None:
        """Which review has already been answered for this application, if any."""
        return self.reviewed.get(application_id)

    def promise_of(self, application_id: str) -> tuple[str, int] | None:
        """Applicant and fen promised on one application and not released."""
        promise = self.promised.get(application_id)
        released = promise is not None and (promise[0], application_id) in self.released
        return None if released else promise

    def exposure_fen(self, applicant_token: str) -> int:
        """Money promised to this applicant and not released."""
        return self.exposures_fen.get(applicant_token, 0)

    def cancelled(self, applicant_token: str, application_id: str) -> bool:
        """Whether this applicant's application was withdrawn or has lapsed."""
        return (applicant_token, application_id) in self.released

    def human_asked(self, applicant_token: str, application_id: str) -> bool:
        """Whether this applicant asked for a person to decide the application."""
        return (applicant_token, application_id) in self.asked

    def revoked_at_ms(self, applicant_token: str) -> int | None:
        """When the applicant last withdrew the consent to machine decisions."""
        return self.revoked_ms.get(applicant_token)

    def approved_since(self, segment: str, since_ms: int) -> tuple[int, int]:
        """Approvals and fen approved in a segment at or after `since_ms`."""
        window = self.approved.get(segment)
        return window.since(since_ms) if window is not None else (0, 0)

    def forget(self) -> int:
        """Drop what lies before the horizon; says how many ids went."""
        edge = self.forgotten_hour
        before = len(self.answered)
        for hour in [hour for hour in self.decided_by_hour if hour < edge]:
            for application_id in self.decided_by_hour.pop(hour):
                known = self.answered.get(application_id)
                if known is not None and known[1] <= hour:
                    self._forget_application(application_id)
        for hour in [hour for hour in self.told_by_hour if hour < edge]:
            for whose in self.told_by_hour.pop(hour):
                known = self.answered.get(whose[1])
                if known is None or known[2] != whose[0]:
                    self._forget_told(whose)
        for window in self.approved.values():
            window.forget(edge * HOUR_MS)
        return before - len(self.answered)

    def _take_decision(self, decision: Decision) -> None:
        application_id, at_ms = decision.application_id, to_ms(decision.decided_at)
        review, known = decision.review, self.answered.get(application_id)
        if review is None and (known is None or not self._has_first(application_id)):
            if decision.outcome is Outcome.REFER:
                self.referrals[application_id] = Referred.of(decision)
        elif review is not None and application_id not in self.reviewed:
            self.reviewed[application_id] = review.review_id
        else:
            return
        # By the later of both: ours may have been set back when it was decided.
        submitted_ms = to_ms(decision.submitted_at)
        hour = (at_ms if at_ms > submitted_ms else submitted_ms) // HOUR_MS
        latest = hour if known is None or hour > known[1] else known[1]
        sha256, token = decision.application_sha256, decision.applicant_token
        self.answered[application_id] = (sha256, latest, token)
        decided = self.decided_by_hour.get(hour)
        if decided is None:
            decided = self.decided_by_hour[hour] = []
        decided.append(application_id)
        self.newest_ms = max(self.newest_ms, at_ms)
        if decision.outcome is Outcome.APPROVE:
            self._promise(decision)
            window = self.approved.get(decision.segment)
            if window is None:
                window = self.approved[decision.segment.value] = Approvals()
            window.add(at_ms, decision.approved_amount_fen)

    def _has_first(self, application_id: str) -> bool:
        """Whether the first stage is held; a second stage alone has an id answered as well."""
        if application_id in self.referrals:
            return True
        return application_id in self.answered and application_id not in self.reviewed

    def _promise(self, decision: Decision) -> None:
        token, amount_fen = decision.applicant_token, decision.approved_amount_fen
        self.promised[decision.application_id] = (token, amount_fen)
        if (token, decision.application_id) not in self.released:
            self.exposures_fen[token] = self.exposures_fen.get(token, 0) + amount_fen

    def _take_event(self, event: ApplicationEvent) -> None:
        at_ms, application_id = to_ms(event.occurred_at), event.application_id
        if event.kind is EventKind.CONSENT_REVOKED:
            known_ms = self.revoked_ms.get(event.applicant_token, at_ms)
            self.revoked_ms[event.applicant_token] = max(known_ms, at_ms)
        elif application_id is not None:
            whose = (event.applicant_token, application_id)
            self.told_by_hour.setdefault(at_ms // HOUR_MS, []).append(whose)
            if event.kind in _RELEASES:
                self._release(whose)
            else:
                self.asked.add(whose)

    def _release(self, whose: _Whose) -> None:
        promise = self.promise_of(whose[1])
        self.released.add(whose)
        if promise is not None and promise[0] == whose[0]:
            self._lessen(*promise)

    def _forget_application(self, application_id: str) -> None:
        promise = self.promise_of(application_id)
        if promise is not None:
            self._lessen(*promise)
        _, _, token = self.answered.pop(application_id)
        for kept in (self.promised, self.referrals, self.reviewed):
            kept.pop(application_id, None)
        self._forget_told((token, application_id))

    def _forget_told(self, whose: _Whose) -> None:
        self.released.discard(whose)
        self.asked.discard(whose)

    def _lessen(self, token: str, amount_fen: int) -> None:
        left_fen = self.exposures_fen[token] - amount_fen
        if left_fen:
            self.exposures_fen[token] = left_fen
        else:
            del self.exposures_fen[token]
