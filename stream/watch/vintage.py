"""Vintages: how the approvals of a month turn out, by count and by amount, as months pass.

A loan is a set of facts that may come twice, late and in any order: one decision
that approved it, and outcomes. It is at risk once any outcome says that it was
paid out, and bad at its earliest default or 90 days past due. Months are calendar
months of UTC; the age of a bad loan is its month less that of the decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from stream.domain.decision import Decision, Outcome
from stream.domain.instant import to_ms
from stream.domain.outcome import LoanOutcome, OutcomeEvent
from stream.watch.interval import Rate, rate_by_amount, rate_by_count

BAD_DAYS_PAST_DUE = 90
"""From here a loan counts as bad (Basel's definition of default)."""
REVIEWED = "reviewed"
"""The arm of loans that a person approved."""
_DAY_MS = 86_400_000


class Loan(Struct, frozen=True, array_like=True, gc=False):
    """What is known of one loan; without a segment its decision has not been read yet."""

    segment: str = ""
    model: str = ""
    arm: str = ""
    decided_ms: int = 0
    amount_fen: int = 0
    paid: bool = False
    bad_ms: int | None = None

    @property
    def counts(self) -> bool:
        """Whether it belongs to a vintage: approved here and paid out."""
        return bool(self.segment) and self.paid

    @property
    def cohort(self) -> Cohort:
        """Where it counts."""
        return Cohort(self.segment, self.model, self.arm, month_of(self.decided_ms))

    @property
    def bad_age(self) -> int | None:
        """Months from decision to bad; None while it is good. A date before the decision is 0."""
        if self.bad_ms is None:
            return None
        return max(0, month_of(self.bad_ms) - month_of(self.decided_ms))


class Cohort(NamedTuple):
    """The loans of one month; `month` counts from January of year 0."""

    segment: str
    model: str
    arm: str
    month: int


class Bad(NamedTuple):
    """Loans that went bad at one age."""

    loans: int
    amount_fen: int


class Cell(Struct):
    """One cohort in sums; `squares` is that of the amounts, which the interval asks for."""

    loans: int = 0
    amount_fen: int = 0
    squares: int = 0
    bad: dict[int, Bad] = {}
    """By age in months."""

    @property
    def bad_loans(self) -> int:
        """Whatever their age."""
        return sum(bad.loans for bad in self.bad.values())

    @property
    def bad_fen(self) -> int:
        """Their amounts."""
        return sum(bad.amount_fen for bad in self.bad.values())

    def plus(self, other: Cell) -> Cell:
        """Both in one sum."""
        bad = dict(self.bad)
        for age, more in other.bad.items():
            loans, amount_fen = bad.get(age, Bad(0, 0))
            bad[age] = Bad(loans + more.loans, amount_fen + more.amount_fen)
        return Cell(
            self.loans + other.loans,
            self.amount_fen + other.amount_fen,
            self.squares + other.squares,
            bad,
        )

    def by_count(self) -> Rate:
        """Share of the loans that went bad."""
        return rate_by_count(self.bad_loans, self.loans)

    def by_amount(self) -> Rate:
        """Share of the amount that went bad."""
        return rate_by_amount(self.bad_fen, self.amount_fen, self.squares)

    def curve(self, months: int) -> list[Rate]:
        """Share by count gone bad up to each age that the cohort has reached, 0 to `months`."""
        found, bad = [], 0
        for age in range(months + 1):
            bad += self.bad.get(age, Bad(0, 0)).loans
            found.append(rate_by_count(bad, self.loans))
        return found


def loan_of(decision: Decision) -> Loan | None:
    """The loan a decision approves; None for a referral."""
    if decision.outcome is not Outcome.APPROVE:
        return None
    model = decision.model
    return Loan(
        segment=decision.segment.value,
        model=f"{model.model_id} {model.version}" if model else "",
        arm=model.arm.value if model else REVIEWED,
        decided_ms=to_ms(decision.decided_at),
        amount_fen=decision.approved_amount_fen,
    )


def told_by(outcome: LoanOutcome) -> Loan:
    """What an outcome says of its loan, as far as it goes."""
    days = outcome.days_past_due or 0
    late = outcome.event is OutcomeEvent.PAST_DUE and days >= BAD_DAYS_PAST_DUE
    bad = late or outcome.event is OutcomeEvent.DEFAULT
    return Loan(paid=True, bad_ms=to_ms(outcome.occurred_at) if bad else None)


def joined(one: Loan, other: Loan) -> Loan:
    """All that two sets of facts say of one loan; the same in any order and any number of times."""
    decided = max(one, other, key=lambda loan: (loan.segment, loan.decided_ms))
    bad = [loan.bad_ms for loan in (one, other) if loan.bad_ms is not None]
    return Loan(
        segment=decided.segment,
        model=decided.model,
        arm=decided.arm,
        decided_ms=decided.decided_ms,
        amount_fen=decided.amount_fen,
        paid=one.paid or other.paid,
        bad_ms=min(bad, default=None),
    )


class Vintages:
    """Cohorts in sums, kept as loans come to be known better."""

    def __init__(self, loans: Iterable[Loan] = ()) -> None:
        """Count what is already known."""
        self.cells: dict[Cohort, Cell] = {}
        for loan in loans:
            self.move(None, loan)

    def move(self, before: Loan | None, after: Loan) -> None:
        """Take a loan out of where it was and count it where it is."""
        if before is not None:
            self._add(before, -1)
        self._add(after, 1)

    def of(self, segment: str) -> Iterator[tuple[Cohort, Cell]]:
        """The cohorts of a segment that hold a loan."""
        for cohort, cell in self.cells.items():
            if cohort.segment == segment and cell.loans:
                yield cohort, cell

    def _add(self, loan: Loan, sign: int) -> None:
        if not loan.counts:
            return
        cell = self.cells.setdefault(loan.cohort, Cell())
        cell.loans += sign
        cell.amount_fen += sign * loan.amount_fen
        cell.squares += sign * loan.amount_fen**2
        age = loan.bad_age
        if age is not None:
            loans, amount_fen = cell.bad.get(age, Bad(0, 0))
            cell.bad[age] = Bad(loans + sign, amount_fen + sign * loan.amount_fen)


def month_of(at_ms: int) -> int:
    """The calendar month, counted from January of year 0."""
    return _month_of_day(at_ms // _DAY_MS)


@lru_cache(maxsize=4_096)
def _month_of_day(day: int) -> int:
    date = datetime.fromtimestamp(day * 86_400, UTC)
    return date.year * 12 + date.month - 1


def month_name(month: int) -> str:
    """`2026-11` of a month's count."""
    return f"{month // 12:04d}-{month % 12 + 1:02d}"
