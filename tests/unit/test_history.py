"""The replay of real loans: nothing is known before its day, and the guard only takes away."""

from __future__ import annotations

import json
import random
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from stream.domain.decision import Outcome
from stream.errors import ConfigError
from stream.lab.history.arm import Arm, replay
from stream.lab.history.cases import Asked, asked
from stream.lab.history.cli import history
from stream.lab.history.figures import Pair, summed, turned_away
from stream.lab.history.loans import (
    BAD_PER_GOOD,
    HORIZON_MONTHS,
    Past,
    bad_within,
    known_before,
    later,
    load,
    natural,
    start_of,
)
from stream.lab.history.model import GrownScorer, YearModel, policy_of, year_model
from stream.lab.history.run import SHIPPED
from stream.pipeline import Pipeline
from stream.policy.load import load_policy
from stream.policy.model import Guard
from stream.watch.guard import GuardState
from stream.watch.vintage import month_of

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
DAY_MS = 86_400_000
YEARS = (1995, 1996)
TIGHT = Guard(budget_bps=200, window_months=36, mature_months=36)
WIDE = Guard(budget_bps=10_000, tighten_at_pct=1_000, refer_at_pct=1_000)


def made(number: int, chance: random.Random) -> Past:
    """A made-up loan of 1989 to 1996; from 1994 on far more of them go bad, and sooner."""
    approved_ms = start_of(1989) + number * 2 * DAY_MS
    hard = approved_ms >= start_of(1994)
    amount_fen = chance.randrange(1_000_000, 40_000_000, 10_000)
    bad = chance.random() < (0.6 if hard else 0.25)
    days = chance.randrange(60, 400 if hard else 1_900)
    return Past(
        number=f"{number:06d}",
        approved_ms=approved_ms,
        amount_fen=amount_fen,
        limit_fen=round(amount_fen * chance.choice((0.5, 0.75, 0.85))),
        is_new=chance.choice((True, False, None)),
        is_line=chance.choice((True, False, None)),
        is_simple=chance.choice((True, False)),
        bad_ms=approved_ms + days * DAY_MS if bad else None,
        loss_share=chance.random() if bad else 0.0,
    )


CHANCE = random.Random(3)
LOANS = [made(number, CHANCE) for number in range(1_450)]


@pytest.fixture(scope="module")
def models() -> dict[int, YearModel]:
    return {year: year_model(LOANS, year) for year in YEARS}


@pytest.fixture(scope="module")
def cases(models: dict[int, YearModel]) -> list[Asked]:
    return cases_of([loan for loan in LOANS if loan.year in models], models)


@pytest.fixture(scope="module")
def pair(cases: list[Asked], models: dict[int, YearModel]) -> Pair:
    arms = [arm_of(cases, models, TIGHT, guarded=guarded) for guarded in (False, True)]
    return Pair(cases, *arms)


def cases_of(loans: list[Past], models: dict[int, YearModel]) -> list[Asked]:
    edges = {year: model.list_edge for year, model in models.items()}
    points = {
        loan: int(models[year].points((loan,))[0])
        for year, group in groupby(loans, key=lambda loan: loan.year)
        for loan in group
    }
    return [
        asked(loan, place, listed=points[loan] >= edges[loan.year])
        for place, loan in enumerate(loans)
    ]


def pipelines(models: dict[int, YearModel], guard: Guard) -> dict[int, Pipeline]:
    shipped = load_policy(SHIPPED)
    return {
        year: Pipeline({"history": model.scorer}, policy_of(shipped, model, guard))
        for year, model in models.items()
    }


def arm_of(cases: list[Asked], models: dict[int, YearModel], guard: Guard, *, guarded: bool) -> Arm:
    return replay(cases, pipelines(models, guard).__getitem__, guard, guarded=guarded)


def moved(loan: Past, from_ms: int, days: int) -> Past:
    """The loan with its outcome further on, where that had not happened before `from_ms`."""
    if loan.bad_ms is None or loan.bad_ms < from_ms:
        return loan
    return loan._replace(bad_ms=loan.bad_ms + days * DAY_MS, loss_share=0.5)


@given(st.integers(1990, 1997), st.integers(1, 4_000))
def test_what_is_learned_hangs_on_nothing_that_came_later(year: int, days: int) -> None:
    """Outcomes on or after the first of January may be any; loans of later are not there."""
    at_ms = start_of(year)
    known = known_before(LOANS, at_ms)
    other = known_before([moved(loan, at_ms, days) for loan in LOANS], at_ms)
    assert known.bad.tolist() == other.bad.tolist()
    assert known.weights.tolist() == other.weights.tolist()
    names = ("requested_amount_fen", "business_is_new")
    assert known.matrix(names).tobytes() == other.matrix(names).tobytes()
    assert all(later(loan.approved_ms, HORIZON_MONTHS) <= at_ms for loan in known.loans)


@settings(max_examples=6, deadline=None)
@given(month=st.integers(0, 23), days=st.integers(1, 900))
def test_a_decision_hangs_on_no_outcome_of_its_month_or_later(
    pair: Pair, models: dict[int, YearModel], month: int, days: int
) -> None:
    """Outcomes from a month on moved away: until that month's end all is decided the same."""
    at_ms = later(start_of(YEARS[0]), month)
    changed = [case._replace(loan=moved(case.loan, at_ms, days)) for case in pair.cases]
    other = arm_of(changed, models, TIGHT, guarded=True)
    end = month_of(at_ms)
    assert [look for look in pair.on.looks if look.month <= end] == [
        look for look in other.looks if look.month <= end
    ]
    so_far = sum(month_of(case.loan.approved_ms) <= end for case in pair.cases)
    assert pair.on.decisions[:so_far] == other.decisions[:so_far]


def test_without_a_guard_the_policy_alone_decides(pair: Pair, models: dict[int, YearModel]) -> None:
    """The same as with a budget nobody can use up, and as each case decided by itself."""
    wide = arm_of(list(pair.cases), models, WIDE, guarded=True)
    assert pair.off.decisions == wide.decisions
    alone = [arm_of([case], models, TIGHT, guarded=False).decisions[0] for case in pair.cases[::20]]
    assert list(pair.off.decisions[::20]) == alone


def test_the_guard_only_takes_away_and_does_so_here(pair: Pair) -> None:
    """Budgets are broken in these loans: it raises, it refers all, and approves nothing new."""
    states = {look.state for look in pair.on.looks}
    assert {GuardState.NORMAL, GuardState.REFER_ALL} <= states
    away = list(turned_away(pair))
    assert away
    kept = [d for d in pair.on.decisions if d.outcome is Outcome.APPROVE]
    every = [d for d in pair.off.decisions if d.outcome is Outcome.APPROVE]
    assert len(every) - len(kept) == len(away)
    assert summed(away).loans == len(away)


def test_the_guard_acts_in_the_month_after_it_saw_the_loss(pair: Pair) -> None:
    """Its first look can know of nothing, as no loan of the replay has been made yet."""
    first = pair.on.looks[0]
    assert (first.state, first.used_pct, first.bad_loans) == (GuardState.NORMAL, 0.0, 0)
    assert {look.state for look in pair.off.looks} == {GuardState.NORMAL}
    assert [look.month for look in pair.off.looks] == sorted({look.month for look in pair.on.looks})


def test_the_vintages_hold_every_outcome_in_the_end(pair: Pair) -> None:
    """Also those that came after the last decision."""
    went_bad = sum(
        case.loan.bad_ms is not None and decision.outcome is Outcome.APPROVE
        for case, decision in zip(pair.cases, pair.off.decisions, strict=True)
    )
    assert went_bad == sum(cell.bad_loans for cell in pair.off.vintages.cells.values())


def test_the_scorer_is_lightgbm_to_the_last_bit(models: dict[int, YearModel]) -> None:
    """Outputs by family add up to the booster's own log-odds, asked once or twice."""
    model = models[YEARS[-1]]
    rows = model.learned.matrix(model.scorer.manifest.feature_names)
    once, again = model.scorer.score(rows), model.scorer.score(rows[:3])
    expected = model.scorer.grown.log_odds(rows)
    assert expected.tobytes() == once.sum(axis=1, dtype=np.float64).tobytes()
    assert once[:3].tobytes() == again.tobytes()
    assert isinstance(model.scorer, GrownScorer)


def test_a_draw_keeps_the_good_and_thins_the_bad_to_the_programmes_rate() -> None:
    """The same draw gives the same loans; another one gives other bad loans."""
    good = [loan for loan in LOANS if loan.bad_ms is None]
    bad = len(LOANS) - len(good)
    drawn = natural(LOANS, 1)
    assert good == [loan for loan in drawn if loan.bad_ms is None]
    assert abs(len(drawn) - len(good) - bad * BAD_PER_GOOD) < 4 * (bad * 0.17) ** 0.5
    assert drawn == natural(LOANS, 1)
    assert drawn != natural(LOANS, 2)


def test_a_month_has_its_own_last_day() -> None:
    """Four years after the 29th of February is one again; a month after a 31st is a shorter day."""
    assert later(start_of(1996), 48) == start_of(2000)
    assert later(start_of(1996) + 30 * DAY_MS, 1) == start_of(1996) + 59 * DAY_MS
    loan = LOANS[0]._replace(approved_ms=start_of(1990), bad_ms=start_of(1994))
    assert not bad_within(loan)
    assert bad_within(loan._replace(bad_ms=start_of(1994) - 1))


def test_without_the_table_one_line_says_what_to_do(tmp_path: Path) -> None:
    """No stack trace for a folder without the loans."""
    with pytest.raises(ConfigError, match=r"sba_full\.csv\.gz: no such file"):
        load(tmp_path)


def test_a_slice_of_the_real_history_is_that_of_the_committed_page(tmp_path: Path) -> None:
    """Two years of it give the figures that docs/history.md has for them, and three pictures."""
    if not (DATA / "sba").is_dir():
        pytest.skip(f"needs the SBA loans at {DATA / 'sba'}")
    app = typer.Typer()
    app.command()(history)
    page = tmp_path / "history.md"
    arguments = ["--data", str(DATA), "--out", str(tmp_path), "--page", str(page), "--first",
                 "1999", "--last", "2000", "--draws", "1", "--json"]  # fmt: skip
    found = CliRunner().invoke(app, arguments, catch_exceptions=False)
    years = json.loads(found.stdout)["years"]
    assert [year["year"] for year in years] == [1999, 2000]
    assert {"history-guard.svg", "history-drift.svg", "history-saved.svg", "history.md"} == {
        path.name for path in tmp_path.iterdir()
    }
    committed = (ROOT / "docs" / "history.md").read_text("utf-8").splitlines()
    rows = [line for line in page.read_text("utf-8").splitlines() if line.startswith("| 1999 |")]
    assert len(rows) == 2
    assert set(rows) <= set(committed)
