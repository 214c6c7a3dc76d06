"""Training gives the same bytes again, and trees that can be explained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from stream.edge.onnx_scorer import load_models
from stream.errors import ConfigError, ModelError
from stream.lab.build import build_model
from stream.lab.cli import train
from stream.lab.data import NAICS, Loans, Source, consumer_source, load_source
from stream.lab.export import family_log_odds, grown_trees, round_down, tree_family
from stream.lab.fit import Fit, fit, split_rows
from stream.lab.hunt import hunted, refuse_leaks
from stream.lab.inventory import inventory, load_all
from stream.lab.leaks import Mark
from stream.lab.offer import with_full_offer
from stream.lab.people import load_people
from stream.lab.recipe import RECIPES, Recipe
from stream.lab.search import searched
from stream.scoring.scorecard import log_odds_of_bad, to_points

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
MODELS = ROOT / "models" / "onnx"


@pytest.fixture(scope="module")
def consumer() -> tuple[Recipe, Fit, np.ndarray]:
    recipe, loans = RECIPES["consumer"], consumer_source().loans
    rows = loans.matrix(recipe.names)
    return recipe, fit(recipe, rows, loans.bad), rows


@pytest.mark.parametrize("name", RECIPES)
def test_a_rebuild_gives_the_committed_bytes(name: str) -> None:
    """All but the signature, which is a person's, is made by the recipe from the data."""
    recipe = RECIPES[name]
    if name != "consumer" and not (DATA / "sba").is_dir():
        pytest.skip(f"needs the SBA loans at {DATA / 'sba'}")
    _, files = build_model(recipe, DATA, lambda _step: None)
    folder = MODELS / name / recipe.version
    changed = [file for file, raw in files.items() if raw != (folder / file).read_bytes()]
    assert not changed
    assert set(files) == {path.name for path in folder.iterdir()} - {"manifest.sig"}


def test_every_tree_stays_in_one_family(consumer: tuple[Recipe, Fit, np.ndarray]) -> None:
    """Each tree has one family, and each family has a tree."""
    recipe, model, _ = consumer
    used = {tree_family(recipe, root) for root in grown_trees(model)}
    assert set(range(len(recipe.families))) == used


def test_family_shares_add_up_to_the_score(consumer: tuple[Recipe, Fit, np.ndarray]) -> None:
    """The outputs of a row sum to LightGBM's own log-odds."""
    recipe, model, rows = consumer
    shares = np.asarray(family_log_odds(recipe, model, rows[:500]))
    np.testing.assert_allclose(shares.sum(axis=1), model.log_odds(rows[:500]), atol=0)


@pytest.mark.parametrize("name", RECIPES)
def test_the_engine_scores_as_lightgbm_to_the_last_bit(name: str) -> None:
    """Ten thousand drawn rows: float32 sums equal LightGBM's doubles, so no point can differ."""
    recipe = RECIPES[name]
    if name != "consumer" and not (DATA / "sba").is_dir():
        pytest.skip(f"needs the SBA loans at {DATA / 'sba'}")
    loans = load_source(DATA, recipe.segment).loans
    rows = loans.matrix(recipe.names)
    train, _ = split_rows(recipe, loans)
    model = fit(recipe, rows[train], loans.bad[train])
    rng = np.random.default_rng(11)
    drawn = np.column_stack([rng.choice(column, 10_000) for column in rows.T]).astype(np.float32)
    outputs = load_models(MODELS, [name])[name].score(drawn)
    assert model.log_odds(drawn).tobytes() == log_odds_of_bad(outputs).tobytes()
    order = rng.permutation(outputs.shape[1])
    other_way = outputs[:, order].sum(axis=1, dtype=np.float32)
    assert other_way.astype(np.float64).tobytes() == log_odds_of_bad(outputs).tobytes()


def test_the_score_follows_the_declared_directions(
    consumer: tuple[Recipe, Fit, np.ndarray],
) -> None:
    """Moving a feature with a direction never moves the score against it."""
    recipe, model, rows = consumer
    for column, spec in enumerate(recipe.features):
        if not spec.monotone:
            continue
        steps = np.unique(np.quantile(rows[:, column], np.linspace(0, 1, 9), method="lower"))
        moved = []
        for step in steps:
            case = rows[:50].copy()
            case[:, column] = step
            moved.append(model.log_odds(case))
        assert (spec.monotone * np.diff(moved, axis=0) >= -1e-12).all(), spec.name


@pytest.mark.parametrize("threshold", [0.1, 1.0, 1e-35, 0.3, 1234567.891, -0.7, 5e12 + 1 / 3])
def test_a_rounded_threshold_routes_float32_alike(threshold: float) -> None:
    """Every float32 near a threshold is on the same side before and after rounding."""
    rounded = np.float32(round_down(threshold))
    near = rounded
    for _ in range(3):
        near = np.nextafter(near, np.float32(-np.inf))
    for _ in range(7):
        assert (float(near) <= threshold) == (near <= rounded)
        near = np.nextafter(near, np.float32(np.inf))


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command()(train)
    return app


def test_train_writes_a_model_folder(tmp_path: Path) -> None:
    """The command writes the files and reports the figures as JSON."""
    done = CliRunner().invoke(_app(), ["consumer", "--out", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert 0.55 < report["metrics"]["held_out"]["auc"] < 0.75
    written = {path.name for path in Path(report["folder"]).iterdir()}
    files = {"model.onnx", "manifest.json", "golden.jsonl", "card.md", "calibration.svg"}
    assert files == written


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_says_why(recipe: Recipe) -> None:
    """Each input has its columns and a reason; the shape is one of those declared to be tried."""
    assert [spec.name for spec in recipe.features if not spec.why or not spec.of] == []
    assert recipe.shape in recipe.search.shapes
    barred = {column for bar in recipe.data.barred for column in bar.columns}
    assert barred & {column for spec in recipe.features for column in spec.of} == set()
    card = (MODELS / recipe.model_id / recipe.version / "card.md").read_text(encoding="utf-8")
    for said in (recipe.data.file, recipe.data.split, *(spec.why for spec in recipe.features)):
        assert said in card


def test_the_declared_search_is_all_that_is_tried() -> None:
    """Every shape once, one of them the recipe's own, on rows of training alone."""
    recipe = RECIPES["consumer"]
    tried = list(searched(recipe, DATA))
    assert [(t.trees, t.leaves) for t in tried] == [
        (shape.trees, shape.leaves) for shape in recipe.search.shapes
    ]
    assert [t.taken for t in tried].count(True) == 1
    assert all(0.19 < t.log_loss < 0.20 and 0.6 < t.auc < 0.65 for t in tried)


def leaking(share: float) -> Source:
    """The consumer loans with inquiries that mostly stand for the outcome."""
    source = consumer_source()
    rng, columns = np.random.default_rng(5), dict(source.loans.columns)
    told = rng.random(len(source.loans.bad)) < share
    columns["inquiries_12m"] = np.where(told, source.loans.bad, 0).astype(float)
    return replace(source, loans=Loans(columns, source.loans.bad))


def test_a_leak_ends_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An input too good to be true: exit code 4, column and way out named, no file written."""
    monkeypatch.setattr("stream.lab.build.load_source", lambda *_: leaking(0.95))
    done = CliRunner().invoke(_app(), ["consumer", "--out", str(tmp_path)])
    assert isinstance(done.exception, ModelError)
    assert "inquiries_12m: AUC 0.9" in done.exception.message
    assert "alone:inquiries_12m" in done.exception.fix
    assert list(tmp_path.iterdir()) == []


def test_an_answered_mark_lets_training_go_on() -> None:
    """Each mark is kept with its answer, for the card; one without ends it."""
    source = leaking(0.95)
    recipe = RECIPES["consumer"]
    answers = {f"{mark}:inquiries_12m": "made up" for mark in ("alone", "gain")}
    found = hunted(replace(recipe, answered=answers), source.loans, source.columns, source.outcome)
    assert {answer for _, answer in found.marks} == {"made up"}
    refuse_leaks(recipe, found)
    with pytest.raises(ModelError):
        refuse_leaks(recipe, hunted(recipe, source.loans, source.columns, source.outcome))


def test_what_another_lender_knew_and_what_nobody_declared_are_marked() -> None:
    """An input made of the lender's grade, and a column the recipe does not name."""
    source, recipe = consumer_source(), RECIPES["consumer"]
    graded = replace(recipe.features[0], of=("sub_grade",))
    recipe = replace(recipe, features=(graded, *recipe.features[1:]))
    found = hunted(recipe, source.loans, (*source.columns, "stray"), source.outcome)
    assert [(f.mark, f.column) for f, _ in found.marks] == [
        (Mark.LATE, "stray"),
        (Mark.LATE, "sub_grade"),
    ]


@pytest.mark.parametrize("name", ["farmer", "merchant"])
def test_the_card_says_what_a_full_offer_does(name: str) -> None:
    """As many held-out rows reach the cut-off as the engine's own model lets pass then."""
    if not (DATA / "sba").is_dir():
        pytest.skip(f"needs the SBA loans at {DATA / 'sba'}")
    recipe = RECIPES[name]
    loans = load_source(DATA, recipe.segment).loans
    _, held_out = split_rows(recipe, loans)
    scorer = load_models(MODELS, [name])[name]
    full = with_full_offer(recipe, loans.matrix(recipe.names)[held_out])
    points = [to_points(x, recipe.scaling) for x in log_odds_of_bad(scorer.score(full)).tolist()]
    share = np.mean(np.asarray(points) >= scorer.manifest.cut_off_suggestion_points)
    assert share > 0.95
    said = f"with an offer as large as the request {share:.1%} of the held-out rows reach"
    assert any(caveat.startswith(said) for caveat in scorer.manifest.caveats)
    assert said in (ROOT / "docs" / "model-inventory.md").read_text(encoding="utf-8")


def test_absent_data_is_said_clearly(tmp_path: Path) -> None:
    """Without the SBA loans the message names the file and the way out."""
    done = CliRunner().invoke(_app(), ["farmer", "--data", str(tmp_path)])
    assert isinstance(done.exception, ConfigError)
    assert "sba_core.csv.gz: no such file" in done.exception.message
    assert "--data" in done.exception.fix


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["farmer", "--all"]])
def test_an_unclear_choice_lists_the_models(arguments: list[str]) -> None:
    """No model, an unknown one, or one and all: the choices are listed."""
    done = CliRunner().invoke(_app(), arguments)
    assert isinstance(done.exception, ConfigError)
    assert "farmer, merchant, consumer" in done.exception.fix


def test_the_inventory_is_that_of_the_models() -> None:
    """The page is what the manifests give: no model is missing and no figure is old."""
    page = (ROOT / "docs" / "model-inventory.md").read_text(encoding="utf-8")
    assert page == inventory(load_all(MODELS))


def test_the_inventory_names_what_is_open() -> None:
    """A gap in the pd, a ratio below the line and the missing years are said, by model."""
    page = inventory(load_all(MODELS))
    for said in (
        "impact ratio by region 0.75",
        "tenth 2 by pd",
        "consumer 1.1.0**: never measured",
    ):
        assert said in page
    assert "refused is not known" in page


@pytest.mark.parametrize("name", ["farmer", "merchant"])
def test_loans_guaranteed_in_full_are_left_out_and_counted(name: str) -> None:
    """No row of any part asks for its limit or less; the card says how many went and how bad."""
    if not (DATA / "sba").is_dir():
        pytest.skip(f"needs the SBA loans at {DATA / 'sba'}")
    recipe = RECIPES[name]
    source = load_source(DATA, recipe.segment)
    for loans in (source.loans, source.before, source.after, load_people(recipe, DATA).loans):
        assert loans is not None
        assert loans.columns["amount_to_limit"].min() > 1.0
    table = pd.read_csv(DATA / "sba" / "sba_core.csv.gz", dtype={"naics_sector": str})
    table = table[table["naics_sector"].isin(NAICS[recipe.segment])]
    full = table[table["sba_appv"] == table["gr_appv"]]
    assert len(table) == len(full) + len(source.loans.bad)
    caveat = recipe.caveats[0]
    said = f"left out are {len(full):,} loans guaranteed in full, {full['bad'].sum()} of them bad"
    assert caveat.startswith(said)


def test_the_rule_of_full_guarantees_rests_on_what_the_data_says() -> None:
    """Above 35,000 dollars three of the loans left out are bad, up to there a third."""
    if not (DATA / "sba").is_dir():
        pytest.skip(f"needs the SBA loans at {DATA / 'sba'}")
    core = pd.read_csv(DATA / "sba" / "sba_core.csv.gz", dtype={"naics_sector": str})
    full = core[core["sba_appv"] == core["gr_appv"]]
    large = full["gr_appv"] > 35_000
    counted = len(full), len(full[large]), full["bad"][large].sum(), full["bad"][~large].sum()
    said = 22_854, 21_046, 3, 672
    assert said == counted
    dated = pd.read_csv(DATA / "sba" / "sba_full.csv.gz", dtype={"naics_sector": str})
    small = dated[(dated["sba_appv"] == dated["gr_appv"]) & (dated["gr_appv"] <= 35_000)]
    crisis = small["approval_date"].str[:4].isin(["2009", "2010"])
    assert crisis.sum() == 98
    assert len(small) == 100
