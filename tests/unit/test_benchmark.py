"""The benchmark: declared recipes, figures that are right, the same result every time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
import typer
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from stream.errors import ConfigError, ModelError
from stream.lab.benchmark import boosted
from stream.lab.benchmark.ages import by_age, refuse_unfair
from stream.lab.benchmark.boosted import CONSTRAINED, Chosen, train
from stream.lab.benchmark.cli import benchmark
from stream.lab.benchmark.figures import BINS, difference, measure
from stream.lab.benchmark.recipe import SHAPES, Bench, Input, Reference, Shape, TimeSplit
from stream.lab.benchmark.result import Outcome, Shipped
from stream.lab.benchmark.run import measured
from stream.lab.benchmark.sets import BENCHES
from stream.lab.benchmark.table import Matrix, encode, load
from stream.lab.benchmark.trial import FAMILY, MODELS, UNCONSTRAINED, Trial, folds, run
from stream.lab.benchmark.untuned import untuned
from stream.lab.benchmark.write import BEGIN, END, with_section, write
from stream.lab.data import load_source
from stream.lab.fit import fit
from stream.lab.known import Barred, KnownAt
from stream.lab.recipe import RECIPES
from stream.scoring.features import MISSING

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
RESULTS = sorted((ROOT / "bench" / "results").glob("*-models.json"))
FORBIDDEN = ("sex", "age", "gender", "marital", "marriage", "foreign", "dependants", "dependents")
SEED = 3


def needs(bench: Bench) -> None:
    if not (DATA / bench.file).is_file():
        pytest.skip(f"needs {DATA / bench.file}")


@pytest.fixture(scope="module")
def german() -> Outcome:
    """One whole run of the smallest set, with a time to spare."""
    needs(BENCHES["german"])
    return measured(BENCHES["german"], DATA, lambda _step: None)


@pytest.mark.parametrize("bench", BENCHES.values(), ids=BENCHES)
def test_a_recipe_is_complete(bench: Bench) -> None:
    """Each input has a family and a reason, no protected or late column is behind one."""
    assert {each.family for each in bench.inputs} == set(bench.families)
    assert [each.name for each in bench.inputs if not each.why] == []
    barred = {column for bar in bench.barred for column in bar.columns}
    behind = {source for each in bench.inputs for source in each.sources}
    assert behind & barred == set()
    assert [c for c in behind if c.lower().split("_")[0] in FORBIDDEN] == []
    assert all(each.direction == 0 for each in bench.inputs if each.levels)


@pytest.mark.parametrize("bench", BENCHES.values(), ids=BENCHES)
def test_an_adapter_gives_every_declared_column(bench: Bench) -> None:
    """Every column of the file is declared, and the matrix is finite and in the declared order."""
    needs(bench)
    table = load(bench, DATA, 2_000)
    assert table.undeclared == ()
    assert list(table.inputs.columns) == [each.name for each in bench.inputs]
    matrix = encode(bench, table.inputs)
    assert np.isfinite(matrix.values).all()
    assert matrix.values.shape == (len(table.bad), len(matrix.names))
    assert set(matrix.families) == set(bench.families)
    assert (matrix.values.min(axis=0) != matrix.values.max(axis=0)).sum() > len(bench.inputs) // 2
    assert 0 < table.bad.mean() < 1


def made(**columns: list[object]) -> tuple[Bench, pd.DataFrame]:
    inputs = (
        Input("debt", "M_LOAD", 1, "heavier"),
        Input("home", "M_HOME", why="a kind", levels=("own", "rent")),
    )
    bench = Bench("made", "Made", "made.csv", lambda t: t, inputs, (), {"M_LOAD": "", "M_HOME": ""})
    return bench, pd.DataFrame(columns)


def test_unknown_is_a_flag_of_its_own_and_levels_are_columns() -> None:
    """Not a guess and not NaN: `MISSING`, beside a flag in the same family without direction."""
    bench, frame = made(debt=[3.0, None], home=["rent", "tent"])
    matrix = encode(bench, frame)
    assert matrix.names == ("debt?", "debt", "home=own", "home=rent")
    assert matrix.families == ("M_LOAD", "M_LOAD", "M_HOME", "M_HOME")
    assert matrix.directions == (0, 1, 0, 0)
    assert matrix.values.tolist() == [[0.0, 3.0, 0.0, 1.0], [1.0, MISSING, 0.0, 0.0]]


def test_unknown_must_not_look_like_a_known_value() -> None:
    """A column that may be negative cannot have `MISSING` in it."""
    bench, frame = made(debt=[-3.0, None], home=["own", "own"])
    with pytest.raises(AssertionError, match="debt: unknown would pass"):
        encode(bench, frame)


def learnable(rows: int = 1_500) -> tuple[Matrix, np.ndarray]:
    """Two families that only together tell the outcome, and a direction that does not fit."""
    rng = np.random.default_rng(SEED)
    values = rng.random((rows, 4)).astype(np.float32)
    odds = 6 * (values[:, 0] - 0.5) * (values[:, 2] - 0.5) * 4 - 2 * values[:, 1]
    bad = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(int)
    return Matrix(("a", "b", "c", "d"), ("X", "X", "Y", "Y"), (0, 1, 0, 0), values), bad


def used(node: dict[str, object]) -> set[int]:
    """Columns a dumped tree splits on."""
    if "split_feature" not in node:
        return set()
    return {node["split_feature"]} | used(node["left_child"]) | used(node["right_child"])  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(("joins", "crosses"), [({}, False), ({"Y": "X"}, True)])
def test_a_tree_stays_inside_one_family(joins: dict[str, str], crosses: bool) -> None:
    """As in the engine's models; a tree may use all of two families that were joined."""
    matrix, bad = learnable()
    joined, chosen = matrix.regrouped(joins), Chosen(Shape(6, 20, 1.0), 40)
    model = train(joined, CONSTRAINED, chosen, matrix.values, bad)
    trees = [used(tree["tree_structure"]) for tree in model.booster.dump_model()["tree_info"]]
    groups = [set(group) for group in matrix.groups]
    assert crosses == any(all(not tree <= group for group in groups) for tree in trees)


def test_the_score_follows_a_direction() -> None:
    """More of a column with direction +1 never lowers the log-odds, though the data would."""
    matrix, bad = learnable()
    model = train(matrix, CONSTRAINED, Chosen(Shape(6, 20, 1.0), 40), matrix.values, bad)
    low, high = matrix.values[:200].copy(), matrix.values[:200].copy()
    low[:, 1], high[:, 1] = 0.1, 0.9
    assert (model.log_odds(high) >= model.log_odds(low) - 1e-9).all()


def scored(rows: int = 800) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(SEED)
    odds = rng.normal(-1, 1, rows)
    bad = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(int)
    return bad, odds, odds + rng.normal(0, 0.8, rows)


def test_the_interval_of_a_difference_agrees_with_the_bootstrap() -> None:
    """DeLong's variance by ranks against 1,000 draws of the rows."""
    bad, first, second = scored()
    found = difference(bad, first, second)
    rng = np.random.default_rng(SEED)
    draws = []
    for _ in range(1_000):
        rows = rng.integers(0, len(bad), len(bad))
        aucs = [roc_auc_score(bad[rows], scores[rows]) for scores in (first, second)]
        draws.append(aucs[0] - aucs[1])
    expected = roc_auc_score(bad, first) - roc_auc_score(bad, second)
    assert found.auc == pytest.approx(expected, abs=1e-4)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.006)


def test_a_model_beside_itself_differs_by_nothing() -> None:
    """The difference and its interval are zero."""
    bad, first, _ = scored()
    found = difference(bad, first, first)
    assert (found.auc, found.low, found.high) == (0.0, 0.0, 0.0)


def test_the_figures_of_a_true_score() -> None:
    """AUC with ties counted half, Gini from it, a calibration error near zero for true odds."""
    bad, odds, _ = scored(20_000)
    figures = measure(odds, bad)
    assert figures.auc == pytest.approx(roc_auc_score(bad, odds), abs=1e-4)
    assert figures.gini == pytest.approx(2 * figures.auc - 1, abs=2e-4)
    assert figures.auc_low < figures.auc < figures.auc_high
    assert len(figures.reliability) == BINS
    assert figures.calibration_error < 0.015
    shifted = measure(odds + 1.0, bad)
    assert (shifted.auc, shifted.ks) == (figures.auc, figures.ks)
    assert shifted.calibration_error > 0.1
    assert measure(np.zeros(20_000), bad).auc == 0.5


def test_each_row_is_held_out_once() -> None:
    """By folds with the same share of bad."""
    bad, _, _ = scored()
    parts = folds(bad)
    assert sorted(np.concatenate([part.held_out for part in parts])) == list(range(len(bad)))
    assert all(set(part.train).isdisjoint(part.held_out) for part in parts)
    assert max(abs(bad[part.held_out].mean() - bad.mean()) for part in parts) < 0.01


def test_the_smallest_set_runs_whole(german: Outcome) -> None:
    """All three models on every row, figures in their range, no mark left unanswered."""
    split = german.splits[0]
    assert (german.rows, split.rows, german.bad_rate) == (800, 800, 0.3)
    assert set(split.models) == set(MODELS)
    assert all(0.70 < figures.auc < 0.85 for figures in split.models.values())
    assert split.cost.low <= split.cost.auc <= split.cost.high
    assert [mark for mark in german.marks if mark.answer is None] == []
    assert german.prices[0].what == "no directions"


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Path]:
    """A set of our own, with dates, a protected column and a leak that is barred."""
    rng = np.random.default_rng(SEED)
    rows = 600
    load_, home = rng.random(rows), rng.choice(["own", "rent"], rows)
    odds = 3 * load_ - 2 + (home == "rent") * 0.5
    bad = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(int)
    frame = pd.DataFrame({"debt": load_, "home": home, "year": 2001 + np.arange(rows) // 200})
    frame = frame.assign(age=rng.integers(20, 70, rows), lost=bad * rng.random(rows), bad=bad)
    folder = tmp_path_factory.mktemp("made")
    frame.to_csv(folder / "made.csv", index=False)
    bench, _ = made()
    barred = (
        Barred(("age",), "protected", protected=True),
        Barred(("lost",), "what became of it", KnownAt.AFTER),
        Barred(("year",), "the date"),
    )
    time = TimeSplit("year", 2003, "2001 and 2002, and 2003")
    answered = {"gain:debt": "of two inputs it is the one that counts"}
    coarser = {"one": {"M_HOME": "M_LOAD"}}
    return replace(bench, barred=barred, time=time, coarser=coarser, answered=answered), folder


def test_the_same_seed_gives_the_same_figures(
    made_up: tuple[Bench, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the digit, rivals included: by seed, out of time, and for every other split tried."""
    monkeypatch.setattr(boosted, "SHAPES", SHAPES[:1])
    bench, folder = made_up
    first, second = (measured(bench, folder, lambda _step: None) for _ in range(2))
    assert first == second
    assert [split.kind for split in first.splits] == ["random", "time"]
    assert [split.rows for split in first.splits] == [600, 200]
    assert "one" in [price.what for price in first.prices]
    assert first.protected_gain is not None
    assert [(column.column, "alone" in column.marks) for column in first.outside] == [
        ("lost", True)
    ]


def test_a_slice_of_a_large_set_runs() -> None:
    """Two thousand rows of the largest set with missing values: every model ranks."""
    bench = BENCHES["gmsc"]
    needs(bench)
    table = load(bench, DATA, 2_000)
    part = folds(table.bad)[0]
    trial = run(bench, table, [part])
    assert set(trial.log_odds) == set(MODELS)
    bad = table.bad[trial.rows]
    assert min(roc_auc_score(bad, scores) for scores in trial.log_odds.values()) > 0.70


def test_results_page_section_and_plots_are_written(german: Outcome, tmp_path: Path) -> None:
    """From the results alone, twice the same bytes; what else the document holds stays."""
    docs, out = tmp_path / "docs", tmp_path / "results"
    docs.mkdir()
    (docs / "models.md").write_text("# Models\n\n## Another part\n\nStays.\n", encoding="utf-8")
    day = date(2026, 11, 25)
    first = {path: path.read_bytes() for path in write([german], [], out, docs, day)}
    assert {path.name for path in first} == {
        "2026-11-25-models.json",
        "2026-11-25-models-shipped.json",
        "2026-11-25-models.md",
        "models.md",
        "benchmark-auc.svg",
        "benchmark-cost.svg",
        "benchmark-reliability.svg",
    }
    assert {path: path.read_bytes() for path in write([german], [], out, docs, day)} == first
    document = (docs / "models.md").read_text(encoding="utf-8")
    assert document.startswith("# Models\n\n## Another part\n\nStays.\n")
    assert f"{german.splits[0].models[FAMILY].auc:.4f}" in document
    assert "granted" in document
    assert "**Not run yet: `sba_farmer`" in document


def test_a_sections_place_is_kept() -> None:
    """What stands before and after the marks is untouched."""
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    written = with_section(document, "new")
    assert written.startswith(f"before\n{BEGIN}\n")
    assert written.endswith(f"new\n{END}\nafter\n")
    assert "old" not in written


@pytest.mark.parametrize("results", RESULTS, ids=lambda path: path.name)
def test_the_committed_document_says_what_the_results_say(results: Path, tmp_path: Path) -> None:
    """Page, section and plots are the command's, not edited by hand."""
    outcomes = msgspec.json.decode(results.read_bytes(), type=list[Outcome])
    names = [outcome.name for outcome in outcomes]
    assert names == [name for name in BENCHES if name in names]
    day = date.fromisoformat(results.name.removesuffix("-models.json"))
    beside = results.with_name(f"{results.stem}-shipped.json")
    recipes = msgspec.json.decode(beside.read_bytes(), type=list[Shipped])
    write(outcomes, recipes, tmp_path / "results", tmp_path / "docs", day)
    page = results.with_suffix(".md").read_text(encoding="utf-8")
    assert (tmp_path / "results" / f"{results.stem}.md").read_text(encoding="utf-8") == page
    if results == RESULTS[-1]:
        section = (tmp_path / "docs" / "models.md").read_text(encoding="utf-8").split(BEGIN)[1]
        document = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
        assert section.split(END)[0] == document.split(BEGIN)[1].split(END)[0]


def results() -> tuple[list[Outcome], list[Shipped]]:
    """The newest committed results: the sets, and the recipes of the committed models."""
    shipped = RESULTS[-1].with_name(f"{RESULTS[-1].stem}-shipped.json")
    return (
        msgspec.json.decode(RESULTS[-1].read_bytes(), type=list[Outcome]),
        msgspec.json.decode(shipped.read_bytes(), type=list[Shipped]),
    )


def test_the_shipped_recipes_are_in_the_table() -> None:
    """Each at its version; the farmers' AUC is that of what `tenminute train` trains."""
    found = {each.model_id: each for each in results()[1]}
    assert [(r.model_id, r.version) for r in RECIPES.values()] == [
        (each.model_id, each.version) for each in found.values()
    ]
    needs(BENCHES["sba_farmer"])
    recipe = RECIPES["farmer"]
    loans = load_source(DATA, recipe.segment).loans
    rows, parts = loans.matrix(recipe.names), folds(loans.bad)
    scores = [
        fit(recipe, rows[p.train], loans.bad[p.train]).log_odds(rows[p.held_out]) for p in parts
    ]
    bad = loans.bad[np.concatenate([p.held_out for p in parts])]
    expected = roc_auc_score(bad, np.concatenate(scores))
    assert found["farmer"].family.auc == pytest.approx(expected, abs=1e-4)


def test_every_reference_stands_beside_our_rival() -> None:
    """Where ours is below it, the page says by how much and what the columns left out are worth."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    below = 0
    for outcome in results()[0]:
        reference = BENCHES[outcome.name].reference
        assert (reference is None) == (outcome.untuned is None)
        if reference is not None and outcome.untuned is not None:
            assert (reference.auc, reference.ks) == (
                outcome.untuned.reference_auc,
                outcome.untuned.reference_ks,
            )
            below += outcome.splits[0].models[UNCONSTRAINED].auc < reference.auc
    assert f"Below the reference on {below} sets" in page


def test_the_untuned_rival_gains_from_what_is_left_out(
    made_up: tuple[Bench, Path],
) -> None:
    """A telling column that is barred though known in time shows only in the second figure."""
    bench, folder = made_up
    bench = replace(bench, reference=Reference(0.7), time=None)
    table = load(bench, folder)
    left = table.left_out.assign(year=table.bad)
    found = untuned(
        bench, replace(table, left_out=left), encode(bench, table.inputs), folds(table.bad)
    )
    assert found is not None
    assert found.inputs_auc < 0.8
    assert found.all_auc > 0.99
    assert set(found.left_out) == {"age", "year"}


def test_age_bands_that_fare_too_differently_end_the_run(made_up: tuple[Bench, Path]) -> None:
    """Only the old are approved: the ratio is 0, and somebody has to say why."""
    bench, folder = made_up
    bench = replace(bench, age="age", time=None)
    table = load(bench, folder)
    assert table.ages is not None
    trial = Trial(np.arange(len(table.bad)), {FAMILY: -table.ages}, {})
    found = by_age(table, trial)
    assert found is not None
    assert found.impact_ratio == 0.0
    assert {"18 to 24", "62 and over"} <= {group.name for group in found.groups}
    with pytest.raises(ModelError, match=r"impact ratio by age 0\.00, at least 0\.8"):
        refuse_unfair(bench, found)
    refuse_unfair(replace(bench, accepted="made up"), found)


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(benchmark)
    return app


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["german", "--all"]])
def test_an_unclear_choice_lists_the_sets(arguments: list[str]) -> None:
    """No set, an unknown one, or one and all: the choices are listed."""
    done = CliRunner().invoke(_app(), arguments)
    assert isinstance(done.exception, ConfigError)
    assert "german" in done.exception.fix


def test_absent_data_is_said_clearly(tmp_path: Path) -> None:
    """The message names the file and the option."""
    done = CliRunner().invoke(_app(), ["gmsc", "--data", str(tmp_path)])
    assert isinstance(done.exception, ConfigError)
    assert "gmsc.csv.gz: no such file" in done.exception.message
    assert "--data" in done.exception.fix


def test_broken_results_are_said_clearly(german: Outcome, tmp_path: Path) -> None:
    """Results of an earlier run that cannot be read are not overwritten."""
    results = tmp_path / "2026-11-25-models.json"
    results.write_text(json.dumps([{"name": "german"}]), encoding="utf-8")
    with pytest.raises(ConfigError, match="not a benchmark's results"):
        write([german], [], tmp_path, tmp_path / "docs", date(2026, 11, 25))
    assert json.loads(results.read_text(encoding="utf-8")) == [{"name": "german"}]
