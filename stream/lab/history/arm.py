"""One arm of the replay: the engine's pipeline day by day, outcomes as they came, guard or none.

Nothing is told before its day: a charge-off reaches the watch in the month after
it happened, the guard looks once a month, before that month's first decision, and
commands through the same switches as in the engine.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from stream.domain.control import Action, Command, Scope, Switches
from stream.domain.decision import Audit, Decision, Outcome
from stream.domain.draft import Draft
from stream.domain.instant import from_ms
from stream.domain.ledger import Ledger
from stream.domain.outcome import OutcomeEvent, outcome_of
from stream.lab.history.cases import Asked, DayViews
from stream.lab.history.model import SEGMENT
from stream.pipeline import Circumstances, Pipeline
from stream.policy.model import Guard
from stream.watch.guard import GuardState, next_state
from stream.watch.vintage import Vintages, month_of
from stream.watch.watch import Terms, Watch

PipelineOf = Callable[[int], Pipeline]
"""The pipeline of a year."""


class Look(NamedTuple):
    """What the guard saw at the start of a month, and the state it left in force."""

    month: int
    state: GuardState
    used_pct: float
    bad_loans: int


class Arm(NamedTuple):
    """What one arm decided, by application in the order of asking, and how it was guarded."""

    decisions: tuple[Decision, ...]
    audits: tuple[Audit, ...]
    looks: tuple[Look, ...]
    vintages: Vintages
    """With all outcomes, those after the last decision included."""

    @property
    def changes(self) -> Iterator[Look]:
        """The looks that left another state in force than there was."""
        before = GuardState.NORMAL
        for look in self.looks:
            if look.state is not before:
                yield look
            before = look.state


class _Run:
    """The standing of one arm while time passes."""

    def __init__(self, guard: Guard, *, guarded: bool) -> None:
        self._guard, self._guarded = guard, guarded
        self.watch = Watch(Terms({}, guard), {})
        self.looks: list[Look] = []
        self.switches = Switches()
        self._state = GuardState.NORMAL
        self._due: list[tuple[int, int, Asked, Decision]] = []
        """Charge-offs of approved loans that have not happened yet, by their day."""

    def month_begins(self, month: int) -> None:
        """Hear what happened before this month, then look at the budget."""
        self._hear(lambda at_ms: month_of(at_ms) < month)
        used = self.watch.usage()[SEGMENT]
        if self._guarded:
            due = next_state(self._state, used, self._guard)
            if due is not self._state:
                self._command(due, month, used.in_words)
        self.looks.append(Look(month, self._state, used.used_pct, used.bad_loans))

    def ends(self) -> None:
        """Hear the rest, for the vintages alone: nothing is decided any more."""
        self._hear(lambda _at_ms: True)

    def decided(self, case: Asked, audit: Audit) -> None:
        """Take a decision in; an approved loan is paid out the same day."""
        decision = audit.decision
        self.watch.hear_audit(audit)
        if decision.outcome is not Outcome.APPROVE:
            return
        self._tell(decision, OutcomeEvent.DISBURSED, case.loan.approved_ms)
        if case.loan.bad_ms is not None:
            place = case.record.offset
            heapq.heappush(self._due, (case.loan.bad_ms, place, case, decision))

    def _hear(self, is_past: Callable[[int], bool]) -> None:
        while self._due and is_past(self._due[0][0]):
            at_ms, _, case, decision = heapq.heappop(self._due)
            self._tell(decision, OutcomeEvent.DEFAULT, at_ms, case.loan.loss_share)

    def _tell(
        self, decision: Decision, event: OutcomeEvent, at_ms: int, loss_share: float | None = None
    ) -> None:
        lost = None if loss_share is None else round(decision.approved_amount_fen * loss_share)
        self.watch.hear_outcome(outcome_of(decision, event, at_ms, loss_fen=lost))

    def _command(self, due: GuardState, month: int, words: str) -> None:
        """What the watch would sign and publish, taken into force."""
        command = Command(
            command_id=f"guard-{month}",
            action=Action.TIGHTEN,
            scope=Scope.SEGMENT,
            name=SEGMENT.value,
            reason=words,
            issued_at=f"{month // 12:04d}-{month % 12 + 1:02d}-01T00:00:00Z",
            issued_by="watch",
            raise_points=self._guard.raise_points if due is GuardState.TIGHTENED else None,
            refer_all=due is GuardState.REFER_ALL,
        )
        self.switches = self.switches.with_command(command, self.switches.version + 1)
        self._state = due


def replay(cases: Sequence[Asked], pipeline_of: PipelineOf, guard: Guard, *, guarded: bool) -> Arm:
    """Decide the cases, which are in the order of their day; `guarded` says which arm it is."""
    run = _Run(guard, guarded=guarded)
    ledger, audits = Ledger(), []
    for month, of_month in groupby(cases, key=lambda case: month_of(case.loan.approved_ms)):
        run.month_begins(month)
        pipeline = pipeline_of(month // 12)
        for now_ms, of_day in groupby(of_month, key=lambda case: case.loan.approved_ms):
            day = list(of_day)
            for case, audit in _decide(pipeline, day, ledger, run.switches, now_ms):
                run.decided(case, audit)
                audits.append(audit)
    run.ends()
    decisions = tuple(audit.decision for audit in audits)
    return Arm(decisions, tuple(audits), tuple(run.looks), run.watch.vintages)


def _decide(
    pipeline: Pipeline, day: list[Asked], ledger: Ledger, switches: Switches, now_ms: int
) -> Iterator[tuple[Asked, Audit]]:
    """One day's applications as one batch of the engine."""
    draft = Draft(ledger)
    under = Circumstances(now_ms, DayViews(now_ms, day), switches, partitions=1)
    batch = pipeline.run([case.record for case in day], {0: draft}, under)
    if len(batch.audits) != len(day):
        raise AssertionError(f"{from_ms(now_ms)}: a loan of the past is no valid application")
    draft.apply(ledger)
    by_record = {id(record): audit for record, audit in batch.audits}
    return ((case, by_record[id(case.record)]) for case in day)
