"""How things stand, as one document: drift, vintages and the guard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stream.domain.application import Segment
from stream.policy.model import Guard
from stream.watch.drift import Population
from stream.watch.guard import GuardState, next_state
from stream.watch.interval import Rate
from stream.watch.vintage import Cell, Cohort, month_name
from stream.watch.watch import Watch


def report(watch: Watch, states: Mapping[Segment, GuardState], guard: Guard) -> dict[str, Any]:
    """Everything, in a fixed order; `states` are those in force."""
    populations = sorted(watch.drift.populations.values(), key=lambda p: (p.segment, p.arm))
    cells = sorted((at, cell) for at, cell in watch.vintages.cells.items() if cell.loans)
    return {
        "month": month_name(watch.month),
        "drift": [_drift(each) for each in populations],
        "vintages": [_vintage(at, cell, watch.month) for at, cell in cells],
        "guard": [
            {
                "segment": segment.value,
                "state": states[segment].value,
                "due": next_state(states[segment], used, guard).value,
                "budget_bps": guard.budget_bps,
                **used._asdict(),
            }
            for segment, used in watch.usage().items()
        ],
    }


def _drift(population: Population) -> dict[str, Any]:
    series = [
        {**msgspec.to_builtins(each), "windows_alarmed": population.alarms[each.series]}
        for each in population.latest
    ]
    return {
        "segment": population.segment,
        "arm": population.arm,
        "version": population.version,
        "windows": population.windows,
        "events_in_open_window": population.events,
        "series": series,
    }


def _vintage(at: Cohort, cell: Cell, month: int) -> dict[str, Any]:
    age = max(0, month - at.month)
    return {
        "segment": at.segment,
        "model": at.model,
        "arm": at.arm,
        "month": month_name(at.month),
        "age_months": age,
        "loans": cell.loans,
        "amount_fen": cell.amount_fen,
        "bad_loans": cell.bad_loans,
        "bad_fen": cell.bad_fen,
        "by_count": _rate(cell.by_count()),
        "by_amount": _rate(cell.by_amount()),
        "share_bad_by_age": [rate.share for rate in cell.curve(age)],
    }


def _rate(rate: Rate) -> dict[str, float]:
    return rate._asdict()
