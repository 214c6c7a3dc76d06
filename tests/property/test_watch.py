"""Sketches add up, and what is known of loans does not hang on how often or when it is told."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream.domain.instant import to_ms
from stream.scoring.features import MISSING
from stream.scoring.reference import Shape
from stream.watch.interval import rate_by_amount, rate_by_count
from stream.watch.psi import drift
from stream.watch.sketch import Sketch, as_float32
from stream.watch.vintage import Cell, Loan, Vintages, joined

SHAPE = Shape((0.0, 10.0, 20.5), (5, 5, 5, 5), 3, -1e3, 1e3)
VALUES = st.lists(st.floats(-2e3, 2e3, width=32) | st.sampled_from((MISSING, 0.0, 10.0, 20.5)))
START_MS = to_ms("2026-01-01T00:00:00Z")


def sketch_of(values: list[float]) -> Sketch:
    found = Sketch.empty(SHAPE)
    for value in as_float32(values):
        found.take(value, SHAPE)
    return found


@given(VALUES, VALUES)
def test_two_sketches_add_up_to_that_of_all_values(one: list[float], other: list[float]) -> None:
    """So a window may be cut anywhere, and be put together from several watchers."""
    merged = sketch_of(one).merged(sketch_of(other))
    assert sketch_of(one + other) == merged
    assert len(one) + len(other) == merged.seen


@given(st.lists(st.integers(0, 500), min_size=1, max_size=12), st.data())
def test_a_comparison_is_sound_whatever_was_counted(counts: list[int], data: st.DataObject) -> None:
    """The index is never negative, its chance lies within 0 and 1, and likeness is no drift."""
    live = data.draw(st.lists(st.integers(0, 500), min_size=len(counts), max_size=len(counts)))
    found = drift(counts, live)
    assert found.psi >= 0
    assert 0 <= found.p_value <= 1
    assert drift(counts, counts).p_value == 1 or drift(counts, counts).psi < 1e-12


@st.composite
def facts(draw: st.DrawFn) -> list[tuple[int, Loan]]:
    """What is told of a few loans: one decision each at most, and any number of outcomes."""
    found: list[tuple[int, Loan]] = []
    for number in range(draw(st.integers(1, 6))):
        decided_ms = START_MS + draw(st.integers(0, 400)) * 86_400_000
        amount_fen = draw(st.integers(1, 10**9))
        if draw(st.booleans()):
            found.append((number, Loan("farmer", "farmer 1", "champion", decided_ms, amount_fen)))
        for _ in range(draw(st.integers(0, 3))):
            bad_ms = START_MS + draw(st.integers(-10, 900)) * 86_400_000
            found.append((number, Loan(paid=True, bad_ms=draw(st.sampled_from((None, bad_ms))))))
    return found


def _bad(cell: Cell) -> list[Any]:
    return sorted(each for each in cell.bad.items() if each[1].loans)


def cells_after(told: list[tuple[int, Loan]]) -> dict[Any, Any]:
    loans: dict[int, Loan] = {}
    vintages = Vintages()
    for number, said in told:
        before = loans.get(number)
        after = said if before is None else joined(before, said)
        vintages.move(before, after)
        loans[number] = after
    return {
        cohort: (cell.loans, cell.amount_fen, cell.squares, _bad(cell))
        for cohort, cell in vintages.cells.items()
        if cell.loans
    }


@given(facts(), st.randoms(use_true_random=False))
def test_outcomes_twice_and_out_of_order_change_nothing(
    told: list[tuple[int, Loan]], chance: random.Random
) -> None:
    """Vintages are the same for any order and any number of repeats of the same facts."""
    again = told + [chance.choice(told) for _ in range(len(told))] if told else []
    chance.shuffle(again)
    assert cells_after(told) == cells_after(again)


@given(st.integers(0, 400), st.integers(1, 400))
def test_loans_of_one_size_are_counted_alike_by_amount(bad: int, good: int) -> None:
    """By amount and by count the interval is the same where all amounts are."""
    loans, each = bad + good, 5_000_000
    by_amount = rate_by_amount(bad * each, loans * each, loans * each**2)
    by_count = rate_by_count(bad, loans)
    assert all(abs(a - b) < 1e-12 for a, b in zip(by_amount, by_count, strict=True))
    assert 0 <= by_count.low <= by_count.share <= by_count.high <= 1


@given(st.lists(st.integers(0, 12), max_size=30), st.integers(30, 60))
def test_a_curve_never_falls_and_ends_at_the_share(ages: list[int], loans: int) -> None:
    """Each month adds what went bad in it."""
    bad = [START_MS + age * 31 * 86_400_000 for age in ages]
    good = [None] * (loans - len(ages))
    vintages = Vintages(Loan("farmer", "", "", START_MS, 1, True, at) for at in [*bad, *good])
    (found,) = vintages.cells.values()
    shares = [rate.share for rate in found.curve(13)]
    assert sorted(shares) == shares
    assert found.by_count().share == shares[-1]
    assert Cell().by_amount().high == 1.0
