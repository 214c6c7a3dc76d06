"""One batch's facts on top of what came before, visible to the batch before they are committed.

A batch may start while the one before it is still committing. Its draft then
lies on that one's draft, and on the ledger once the lower one is applied to it.
"""

from __future__ import annotations

from stream.domain.application_event import ApplicationEvent
from stream.domain.chain import ChainHead
from stream.domain.decision import Decision
from stream.domain.ledger import Ledger, Referred


class Draft:
    """Facts not yet committed; the same questions as a ledger's, this batch included."""

    __slots__ = ("_base", "_facts", "_freed", "_own", "_reserved", "chain")

    def __init__(self, base: Ledger | Draft) -> None:
        """Lay an empty sheet over `base`."""
        self._base = base
        self._facts: list[Decision | ApplicationEvent] = []
        self._own = Ledger()
        self._freed: dict[str, set[str]] = {}
        self._reserved: dict[str, str] = {}
        self.chain: ChainHead = base.chain

    @property
    def horizon_ms(self) -> int:
        """As of the ledger below: a batch does not move its own horizon."""
        return self._base.horizon_ms

    def rest_on(self, ledger: Ledger) -> None:
        """Lie on the ledger itself, the sheet in between having been applied."""
        self._base = ledger

    def reserve(self, application_id: str, content_sha256: str) -> None:
        """Mark an id as being answered by this batch."""
        self._reserved[application_id] = content_sha256

    def take(self, fact: Decision | ApplicationEvent) -> None:
        """Put one fact on the sheet."""
        self._facts.append(fact)
        if isinstance(fact, ApplicationEvent) and fact.application_id is not None:
            self._take_release(fact, fact.application_id)
            return
        if isinstance(fact, Decision):
            whose = (fact.applicant_token, fact.application_id)
            if self._base.cancelled(*whose):
                self._own.released.add(whose)
        self._own.take(fact)

    def content_of(self, application_id: str) -> str | None:
        """As `Ledger.content_of`."""
        return self._reserved.get(application_id) or self._base.content_of(application_id)

    def referral(self, application_id: str) -> Referred | None:
        """As `Ledger.referral`."""
        return self._own.referral(application_id) or self._base.referral(application_id)

    def review_of(self, application_id: str) -> str | None:
        """As `Ledger.review_of`."""
        return self._own.review_of(application_id) or self._base.review_of(application_id)

    def promise_of(self, application_id: str) -> tuple[str, int] | None:
        """As `Ledger.promise_of`."""
        promise = self._own.promise_of(application_id) or self._base.promise_of(application_id)
        if promise is None or self._own.cancelled(promise[0], application_id):
            return None
        return promise

    def exposure_fen(self, applicant_token: str) -> int:
        """As `Ledger.exposure_fen`."""
        held_fen = self._own.exposure_fen(applicant_token) + self._base.exposure_fen(
            applicant_token
        )
        freed = self._freed.get(applicant_token)
        if not freed:
            return held_fen
        # What is released here is asked below each time: the ledger may have forgotten it.
        below = map(self._base.promise_of, freed)
        return held_fen - sum(promise[1] for promise in below if promise is not None)

    def cancelled(self, applicant_token: str, application_id: str) -> bool:
        """As `Ledger.cancelled`."""
        whose = (applicant_token, application_id)
        return self._own.cancelled(*whose) or self._base.cancelled(*whose)

    def human_asked(self, applicant_token: str, application_id: str) -> bool:
        """As `Ledger.human_asked`."""
        whose = (applicant_token, application_id)
        return self._own.human_asked(*whose) or self._base.human_asked(*whose)

    def revoked_at_ms(self, applicant_token: str) -> int | None:
        """As `Ledger.revoked_at_ms`."""
        own_ms = self._own.revoked_at_ms(applicant_token)
        base_ms = self._base.revoked_at_ms(applicant_token)
        if own_ms is None or base_ms is None:
            return own_ms if base_ms is None else base_ms
        return max(own_ms, base_ms)

    def approved_since(self, segment: str, since_ms: int) -> tuple[int, int]:
        """As `Ledger.approved_since`."""
        count, amount_fen = self._base.approved_since(segment, since_ms)
        more_count, more_fen = self._own.approved_since(segment, since_ms)
        return count + more_count, amount_fen + more_fen

    def apply(self, ledger: Ledger) -> None:
        """Write the sheet into the ledger, once its transaction has committed."""
        for fact in self._facts:
            ledger.take(fact)
        ledger.chain = self.chain

    def _take_release(self, event: ApplicationEvent, application_id: str) -> None:
        """A release of what is promised below lessens the exposure seen through this sheet."""
        below = self._base.promise_of(application_id)
        self._own.take(event)
        if below is not None and self._own.cancelled(below[0], application_id):
            self._freed.setdefault(below[0], set()).add(application_id)
