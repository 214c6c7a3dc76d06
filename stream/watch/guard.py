"""The guard on the bad-rate budget: tightens a segment, then refers it whole, as it is used up.

A loan that a machine approved and that was paid out earns the budget its share,
`budget_bps` of its amount, in equal monthly parts until it is `mature_months` old.
What has gone bad is spent. Used is spent over earned: at 100 % loans go bad just
as fast as the budget allows. The parts make a bad vintage show early; with the
whole share earned at once it would show when it is too late to do anything.

The guard knows three states and never approves what the policy would not. It steps
down one state at a time and only well below the mark that stepped it up.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from stream.policy.model import Guard
from stream.watch.vintage import REVIEWED, Vintages


class GuardState(StrEnum):
    """What holds for a segment."""

    NORMAL = "normal"
    TIGHTENED = "tightened"
    REFER_ALL = "refer_all"


ORDER: Final = tuple(GuardState)
"""From the policy alone to the strictest."""


class Usage(NamedTuple):
    """How a segment stands against its budget; `used_pct` is 0 while nothing is earned."""

    loans: int
    amount_fen: int
    bad_loans: int
    bad_fen: int
    used_pct: float

    @property
    def in_words(self) -> str:
        """One line for a command and for the log."""
        return (
            f"{self.used_pct:.0f} % of the bad-rate budget used: "
            f"{self.bad_loans:,} of {self.loans:,} loans went bad"
        )


def usage(vintages: Vintages, segment: str, month: int, guard: Guard) -> Usage:
    """Spent and earned in `month`, over the vintages of the guard's window."""
    loans = amount_fen = bad_loans = bad_fen = earned = 0
    for cohort, cell in vintages.of(segment):
        age = month - cohort.month
        if cohort.arm == REVIEWED or not 0 <= age < guard.window_months:
            continue
        loans, amount_fen = loans + cell.loans, amount_fen + cell.amount_fen
        bad_loans, bad_fen = bad_loans + cell.bad_loans, bad_fen + cell.bad_fen
        earned += cell.amount_fen * min(guard.mature_months, age + 1)
    # The budget in fen is earned * budget_bps / (10,000 * mature_months); whole numbers to the end.
    budget = earned * guard.budget_bps
    used_pct = 100 * bad_fen * 10_000 * guard.mature_months / budget if budget else 0.0
    return Usage(loans, amount_fen, bad_loans, bad_fen, used_pct)


def next_state(state: GuardState, used: Usage, guard: Guard) -> GuardState:
    """The state after a look: up as far as the marks say, down one step below them.

    Fewer bad loans than `bad_loans_min` step nothing up: one or two are chance.
    """
    marks = {GuardState.TIGHTENED: guard.tighten_at_pct, GuardState.REFER_ALL: guard.refer_at_pct}
    reached = GuardState.NORMAL
    if used.bad_loans >= guard.bad_loans_min:
        for each, mark in marks.items():
            if used.used_pct >= mark:
                reached = each
    if ORDER.index(reached) >= ORDER.index(state):
        return reached
    if used.used_pct < marks[state] - guard.ease_pct:
        return ORDER[ORDER.index(state) - 1]
    return state
