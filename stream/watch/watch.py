"""The watch as a whole: takes audit records and outcomes, says how things stand.

It reads no clock: its month is that of the newest decision it has read. Audit
records come once each, in the order of their partition; outcomes may come twice,
late and in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from msgspec import Struct

from stream.domain.application import Segment
from stream.domain.decision import Audit
from stream.domain.instant import to_ms
from stream.domain.outcome import LoanOutcome
from stream.policy.model import Guard
from stream.scoring.reference import Reference
from stream.watch.drift import DriftTerms, DriftWatch, Population
from stream.watch.guard import Usage, usage
from stream.watch.vintage import Cell, Loan, Vintages, joined, loan_of, month_of, told_by


class Loans(Protocol):
    """Where loans are kept by decision id; a dict is one."""

    def get(self, key: str, /) -> Loan | None: ...  # noqa: D102
    def __setitem__(self, key: str, loan: Loan, /) -> None: ...  # noqa: D105


class Kept(Struct):
    """What outlives a restart beside the loans."""

    month: int = 0
    populations: dict[str, Population] = {}


class Terms(NamedTuple):
    """What the watch goes by."""

    references: Mapping[str, Reference]
    guard: Guard
    drift: DriftTerms = DriftTerms()


class Watch:
    """All segments at once."""

    def __init__(
        self, terms: Terms, loans: Loans, known: Iterable[Loan] = (), kept: Kept | None = None
    ) -> None:
        """Go on from `kept` and from the loans `known`, which are those in `loans`."""
        self._terms, self._loans = terms, loans
        self._month = kept.month if kept else 0
        self.drift = DriftWatch(terms.references, terms.drift, kept.populations if kept else None)
        self.vintages = Vintages(known)

    @property
    def kept(self) -> Kept:
        """What to keep for a restart."""
        return Kept(self._month, self.drift.populations)

    @property
    def month(self) -> int:
        """The month of the newest decision read, counted from January of year 0."""
        return self._month

    def hear_audit(self, audit: Audit) -> Population | None:
        """Take one decision; its population when it has just filled a window of it."""
        decision = audit.decision
        self._month = max(self._month, month_of(to_ms(decision.decided_at)))
        loan = loan_of(decision)
        if loan is not None:
            self._learn(decision.decision_id, loan)
        return self.drift.take(audit)

    def hear_outcome(self, outcome: LoanOutcome) -> None:
        """Take what happened to a loan; a repeat changes nothing."""
        self._learn(outcome.decision_id, told_by(outcome))

    def usage(self) -> dict[Segment, Usage]:
        """How each segment stands against its bad-rate budget."""
        month, guard = self._month, self._terms.guard
        return {each: usage(self.vintages, each.value, month, guard) for each in Segment}

    def arms(self, segment: Segment, window_months: int) -> dict[tuple[str, str], Cell]:
        """The vintages of so many months in one sum for each model and arm."""
        found: dict[tuple[str, str], Cell] = {}
        for cohort, cell in self.vintages.of(segment.value):
            if 0 <= self._month - cohort.month < window_months:
                known = found.setdefault((cohort.model, cohort.arm), Cell())
                found[cohort.model, cohort.arm] = known.plus(cell)
        return found

    def _learn(self, decision_id: str, said: Loan) -> None:
        before = self._loans.get(decision_id)
        after = said if before is None else joined(before, said)
        if before != after:
            self._loans[decision_id] = after
            self.vintages.move(before, after)
