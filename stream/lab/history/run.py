"""The whole replay: a model a year, then the same applications twice, once with the guard."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from stream.errors import ConfigError
from stream.lab.history.arm import Look, replay
from stream.lab.history.cases import Asked, asked
from stream.lab.history.figures import Pair, Sum, Year, summed, total, turned_away, year_figures
from stream.lab.history.loans import (
    FIRST_APPROVAL,
    HORIZON_MONTHS,
    Known,
    Past,
    bad_within,
    known_before,
    natural,
    start_of,
)
from stream.lab.history.model import YearModel, listed_reference, policy_of, year_model
from stream.pipeline import Pipeline
from stream.policy.load import load_policy
from stream.policy.model import Guard

BAD_MIN = 100
"""A year is decided once so many bad loans can be learned from."""

LAST_YEAR = 2010
"""The outcomes end in 2014: of later approvals the horizon is not seen whole."""

BUDGET_TIMES = 2.0
"""The budget is so many times what the loans known at the start had used."""
OTHER_TIMES = (1.0, 1.5, 3.0)
DRAWS = 5
SHIPPED = Path(__file__).parents[2] / "policy" / "policy.toml"
Progress = Callable[[str], None]


class Terms(NamedTuple):
    """What a replay goes by; a short one decides fewer years."""

    first_year: int | None = None
    last_year: int = LAST_YEAR
    draws: int = DRAWS


class Other(Struct, frozen=True):
    """What the guard turns away with another draw of the bad loans, or another budget."""

    draw: int
    budget_bps: int
    turned_away: Sum


class History(Struct, frozen=True):
    """All figures of a replay."""

    years: tuple[Year, ...]
    guard: Guard
    known_bps: float
    """Bad by amount, within the horizon, of the loans known at the start, of 10,000."""
    early_share: float
    """Of all charge-offs, those within the months that the shipped guard looks at."""
    approved: Sum
    turned_away: Sum
    changes: tuple[Look, ...]
    shipped: Other
    """With the guard as the shipped policy has it, unchanged."""
    shipped_changes: tuple[Look, ...]
    draws: tuple[Other, ...]
    budgets: tuple[Other, ...]


class Replayed(NamedTuple):
    """The figures, and the two arms they were read off."""

    history: History
    pair: Pair


class _Stage:
    """What every run of the replay shares."""

    def __init__(self, loans: list[Past], terms: Terms, progress: Progress) -> None:
        first = terms.first_year or first_year(loans)
        self.loans, self.shipped = loans, load_policy(SHIPPED)
        self.models: dict[int, YearModel] = {}
        for year in range(first, terms.last_year + 1):
            progress(f"learn for {year}")
            self.models[year] = year_model(loans, year)
        self.known_bps = 10_000 * bad_by_amount(self.models[first].learned)

    def guard(self, times: float) -> Guard:
        """The shipped guard, its budget and its months fit for this programme."""
        return Guard(
            budget_bps=round(times * self.known_bps),
            window_months=HORIZON_MONTHS,
            mature_months=HORIZON_MONTHS,
        )

    def cases(self, draw: int) -> list[Asked]:
        """A draw's applications, each screened by its year's model."""
        found: list[Asked] = []
        drawn = [loan for loan in natural(self.loans, draw) if loan.year in self.models]
        for year, group in groupby(drawn, key=lambda loan: loan.year):
            of_year, model = tuple(group), self.models[year]
            listed = model.points(of_year) >= model.list_edge
            for loan, on_list in zip(of_year, listed.tolist(), strict=True):
                found.append(asked(loan, len(found), listed=on_list))
        return found

    def pair(self, cases: list[Asked], guard: Guard) -> Pair:
        """Both arms."""
        pipelines = {
            year: Pipeline({"history": model.scorer}, policy_of(self.shipped, model, guard))
            for year, model in self.models.items()
        }
        arms = [replay(cases, pipelines.__getitem__, guard, guarded=on) for on in (False, True)]
        return Pair(cases, *arms)


def first_year(loans: list[Past]) -> int:
    """The first year before which `BAD_MIN` bad loans were known."""
    for year in range(FIRST_APPROVAL, LAST_YEAR + 1):
        if known_before(loans, start_of(year)).bad.sum() >= BAD_MIN:
            return year
    raise ConfigError(
        f"fewer than {BAD_MIN} bad loans are ever known", fix="name the whole table by --data"
    )


def bad_by_amount(known: Known) -> float:
    """Share of the amount that went bad within the horizon, by the weights."""
    amounts = [loan.amount_fen * w for loan, w in zip(known.loans, known.weights, strict=True)]
    bad = sum(amount for amount, is_bad in zip(amounts, known.bad, strict=True) if is_bad)
    return float(bad / sum(amounts))


def early_share(loans: list[Past], months: int) -> float:
    """Of the loans charged off, the share that were so before they were so many months old."""
    bad = [loan for loan in loans if loan.bad_ms is not None]
    return sum(bad_within(loan, months) for loan in bad) / len(bad)


def run_history(loans: list[Past], terms: Terms, progress: Progress) -> Replayed:
    """Replay the loans; the same loans and terms give the same figures."""
    stage = _Stage(loans, terms, progress)
    guard = stage.guard(BUDGET_TIMES)
    progress("replay")
    cases = stage.cases(1)
    pair = stage.pair(cases, guard)
    years = []
    for model in stage.models.values():
        learned = natural(list(model.learned.loans), 1)
        years.append(year_figures(pair, model, listed_reference(model, learned)))
    progress("the shipped guard")
    as_shipped = stage.pair(cases, stage.shipped.guard)
    shipped = Other(1, stage.shipped.guard.budget_bps, summed(turned_away(as_shipped)))
    draws, budgets = [], []
    for draw in range(2, terms.draws + 1):
        progress(f"draw {draw}")
        draws.append(_other(stage, stage.cases(draw), guard, draw))
    if terms.draws > 1:
        for times in OTHER_TIMES:
            progress(f"budget {times:g}")
            budgets.append(_other(stage, cases, stage.guard(times), 1))
    history = History(
        years=tuple(years),
        guard=guard,
        known_bps=stage.known_bps,
        early_share=early_share(loans, stage.shipped.guard.window_months),
        approved=total(year.approved for year in years),
        turned_away=total(year.turned_away for year in years),
        changes=tuple(pair.on.changes),
        shipped=shipped,
        shipped_changes=tuple(as_shipped.on.changes),
        draws=tuple(draws),
        budgets=tuple(budgets),
    )
    return Replayed(history, pair)


def _other(stage: _Stage, cases: list[Asked], guard: Guard, draw: int) -> Other:
    return Other(draw, guard.budget_bps, summed(turned_away(stage.pair(cases, guard))))
