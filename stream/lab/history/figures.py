"""What the two arms show, in figures: by year, in sum, and over several draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from sklearn.metrics import roc_auc_score

from stream.domain.decision import Audit, Decision, Outcome
from stream.lab.history.arm import Arm
from stream.lab.history.cases import Asked
from stream.lab.history.loans import HORIZON_MONTHS, bad_within
from stream.lab.history.model import YearModel
from stream.scoring.reference import Reference
from stream.watch.drift import POINTS, DriftTerms, DriftWatch
from stream.watch.guard import GuardState
from stream.watch.interval import Rate, rate_by_count

DRIFT_LEVEL = 0.01


class Sum(Struct, frozen=True):
    """Loans by what became of them in the end; money in cents, `lost` is what was charged off."""

    good_loans: int = 0
    good_cents: int = 0
    bad_loans: int = 0
    bad_cents: int = 0
    lost_cents: int = 0

    @property
    def loans(self) -> int:
        """All of them."""
        return self.good_loans + self.bad_loans

    @property
    def bad_share(self) -> float:
        """By count; 0 of nothing."""
        return self.bad_loans / self.loans if self.loans else 0.0

    @property
    def bad_money(self) -> float:
        """By amount; 0 of nothing."""
        money = self.good_cents + self.bad_cents
        return self.bad_cents / money if money else 0.0

    @property
    def break_even(self) -> float | None:
        """What the good money must earn, all in all, for the loss to be made up; None without."""
        return self.lost_cents / self.good_cents if self.good_cents else None


class Drifted(Struct, frozen=True):
    """One year's applications against the loans their model had learned from."""

    psi: dict[str, float]
    alarms: tuple[str, ...]
    """The series whose difference is beyond chance."""


class Year(Struct, frozen=True):
    """One year of the replay; what is observed is what the arm without a guard approved."""

    year: int
    learned: int
    learned_bad: int
    asked: int
    listed: int
    auc: float
    """Of the points of all that asked, against bad within the horizon."""
    drift: Drifted
    expected: float
    """Mean pd of the approved."""
    observed: Rate
    """Share of them bad within the horizon."""
    approved: Sum
    approved_with_guard: Sum
    turned_away: Sum
    months: dict[str, int]
    """Months by the state of the guard."""


class Pair(NamedTuple):
    """The same applications in both arms."""

    cases: Sequence[Asked]
    off: Arm
    on: Arm


def approves(decision: Decision) -> bool:
    """Whether the machine said yes."""
    return decision.outcome is Outcome.APPROVE


def summed(pairs: Iterable[tuple[Asked, Decision]]) -> Sum:
    """The approved of these by what became of them."""
    good_loans = good = bad_loans = bad = lost = 0
    for case, decision in pairs:
        if not approves(decision):
            continue
        amount = decision.approved_amount_fen
        if case.loan.bad_ms is None:
            good_loans, good = good_loans + 1, good + amount
        else:
            bad_loans, bad = bad_loans + 1, bad + amount
            lost += round(amount * case.loan.loss_share)
    return Sum(good_loans, good, bad_loans, bad, lost)


def turned_away(pair: Pair) -> Iterable[tuple[Asked, Decision]]:
    """The loans that only the guard refers, as the arm without it decided them."""
    for case, off, on in zip(pair.cases, pair.off.decisions, pair.on.decisions, strict=True):
        if approves(on) and not approves(off):
            raise AssertionError("a guard approves nothing")
        if approves(off) and not approves(on):
            yield case, off


def drift_of(audits: Sequence[Audit], model: YearModel, reference: Reference) -> Drifted:
    """The year's scored applications as one window of the watch."""
    scored = [audit for audit in audits if audit.decision.score_points is not None]
    terms = DriftTerms(window_events=len(scored), level=DRIFT_LEVEL)
    watch = DriftWatch({model.scorer.manifest_sha256: reference}, terms)
    population = None
    for audit in scored:
        population = watch.take(audit)
    if population is None:
        raise AssertionError("the last scored application fills the window")
    found = {finding.series: finding.psi for finding in population.latest}
    alarms = tuple(finding.series for finding in population.latest if finding.alarms)
    return Drifted({POINTS: found.pop(POINTS), **found}, alarms)


def year_figures(pair: Pair, model: YearModel, reference: Reference) -> Year:
    """One year's row."""
    mine = [i for i, case in enumerate(pair.cases) if case.loan.year == model.year]
    cases = [pair.cases[i] for i in mine]
    off, on = ([arm.decisions[i] for i in mine] for arm in (pair.off, pair.on))
    soon = [bad_within(case.loan, HORIZON_MONTHS) for case in cases]
    yes = [i for i, decision in enumerate(off) if approves(decision)]
    points = model.points(tuple(case.loan for case in cases))
    away = [each for each in turned_away(pair) if each[0].loan.year == model.year]
    states = [look.state for look in pair.on.looks if look.month // 12 == model.year]
    return Year(
        year=model.year,
        learned=len(model.learned.loans),
        learned_bad=int(model.learned.bad.sum()),
        asked=len(cases),
        listed=sum(case.entry is not None for case in cases),
        auc=float(roc_auc_score(soon, -points)),
        drift=drift_of([pair.off.audits[i] for i in mine], model, reference),
        expected=float(np.mean([off[i].pd for i in yes])),
        observed=rate_by_count(sum(soon[i] for i in yes), len(yes)),
        approved=summed(zip(cases, off, strict=True)),
        approved_with_guard=summed(zip(cases, on, strict=True)),
        turned_away=summed(away),
        months={state.value: states.count(state) for state in GuardState},
    )


def total(sums: Iterable[Sum]) -> Sum:
    """All of them in one."""
    rows = [(s.good_loans, s.good_cents, s.bad_loans, s.bad_cents, s.lost_cents) for s in sums]
    return Sum(*(sum(column) for column in zip(*rows, strict=True)))
