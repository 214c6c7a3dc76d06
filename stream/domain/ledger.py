"""What one partition has already promised: ids answered, money promised, breaker window.

The ledger is derived state. Its only source is `disbursement.decisions` of the
same partition, so it needs no changelog: a worker that is assigned a partition
reads its decisions from the start and holds the ledger before it decides.
A batch writes to a `Draft`; the draft is applied only after the transaction
that carries the batch's decisions has committed, and dropped when it has not.
"""

from __future__ import annotations

from collections import deque

from stream.domain.decision import Decision, Outcome
from stream.domain.instant import to_ms


class _Window:
    """Approvals of one segment, oldest first, with their running total."""

    __slots__ = ("_approvals", "total_fen")

    def __init__(self) -> None:
        self._approvals: deque[tuple[int, int]] = deque()
        self.total_fen = 0

    def __len__(self) -> int:
        return len(self._approvals)

    def add(self, at_ms: int, amount_fen: int) -> None:
        """Take in one approval."""
        self._approvals.append((at_ms, amount_fen))
        self.total_fen += amount_fen

    def forget_before(self, since_ms: int) -> None:
        """Drop approvals older than `since_ms`."""
        while self._approvals and self._approvals[0][0] < since_ms:
            self.total_fen -= self._approvals.popleft()[1]


class Ledger:
    """Ids answered and exposure promised in one partition."""

    __slots__ = ("_approved", "_exposure_fen", "_seen")

    def __init__(self) -> None:
        """Start empty; `restore` fills it."""
        self._seen: dict[str, str] = {}
        self._exposure_fen: dict[str, int] = {}
        self._approved: dict[str, _Window] = {}

    def __len__(self) -> int:
        """How many application ids have been answered."""
        return len(self._seen)

    def restore(self, decision: Decision) -> None:
        """Take in one committed decision; the same decision twice changes nothing."""
        if decision.application_id in self._seen:
            return
        self._seen[decision.application_id] = decision.application_sha256
        if decision.outcome is Outcome.APPROVE:
            token, amount_fen = decision.applicant_token, decision.approved_amount_fen
            self._exposure_fen[token] = self._exposure_fen.get(token, 0) + amount_fen
            window = self._approved.setdefault(decision.segment, _Window())
            window.add(to_ms(decision.decided_at), amount_fen)

    def content_of(self, application_id: str) -> str | None:
        """Content hash of the application already answered under this id, if any."""
        return self._seen.get(application_id)

    def exposure_fen(self, applicant_token: str) -> int:
        """Money promised to this applicant and not released."""
        return self._exposure_fen.get(applicant_token, 0)

    def approved_since(self, segment: str, since_ms: int) -> tuple[int, int]:
        """Approvals and fen approved in a segment at or after `since_ms`; forgets older ones."""
        window = self._approved.get(segment)
        if window is None:
            return 0, 0
        window.forget_before(since_ms)
        return len(window), window.total_fen


class Draft:
    """One batch's additions on top of a ledger, visible to the batch before they are committed."""

    __slots__ = ("_decisions", "_exposure_fen", "_ledger", "_seen", "_segment_totals")

    def __init__(self, ledger: Ledger) -> None:
        """Lay an empty sheet over `ledger`."""
        self._ledger = ledger
        self._decisions: list[Decision] = []
        self._seen: dict[str, str] = {}
        self._exposure_fen: dict[str, int] = {}
        self._segment_totals: dict[str, tuple[int, int]] = {}

    def content_of(self, application_id: str) -> str | None:
        """As `Ledger.content_of`, this batch included."""
        return self._seen.get(application_id) or self._ledger.content_of(application_id)

    def reserve_id(self, application_id: str, content_sha256: str) -> None:
        """Mark an id as being answered by this batch."""
        self._seen[application_id] = content_sha256

    def exposure_fen(self, applicant_token: str) -> int:
        """As `Ledger.exposure_fen`, this batch included."""
        added = self._exposure_fen.get(applicant_token, 0)
        return self._ledger.exposure_fen(applicant_token) + added

    def approved_since(self, segment: str, since_ms: int) -> tuple[int, int]:
        """As `Ledger.approved_since`, this batch included."""
        count, amount_fen = self._ledger.approved_since(segment, since_ms)
        more_count, more_fen = self._segment_totals.get(segment, (0, 0))
        return count + more_count, amount_fen + more_fen

    def add(self, decision: Decision) -> None:
        """Put one decision on the sheet."""
        self._decisions.append(decision)
        if decision.outcome is Outcome.APPROVE:
            token, amount_fen = decision.applicant_token, decision.approved_amount_fen
            self._exposure_fen[token] = self._exposure_fen.get(token, 0) + amount_fen
            count, total = self._segment_totals.get(decision.segment, (0, 0))
            self._segment_totals[decision.segment] = (count + 1, total + amount_fen)

    def apply(self) -> None:
        """Write the sheet into the ledger, once its transaction has committed."""
        for decision in self._decisions:
            self._ledger.restore(decision)
