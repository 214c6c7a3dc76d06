"""Drift is found within so many events, and without drift alarms come as often as stated."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from proofs.drift import measure
from scipy.stats import binom, chi2, hypergeom
from watch_records import drawn, population, reference_of, spread

from stream.domain.application import Segment
from stream.domain.decision import Audit, ModelInForce, RuleHit
from stream.lab.data import consumer_source
from stream.lab.recipe import RECIPES
from stream.lab.reference import shape
from stream.scoring.features import MISSING
from stream.scoring.manifest import load_manifest
from stream.scoring.reference import Shape
from stream.watch.drift import POINTS, QUESTIONS, DriftTerms, DriftWatch, Population, judge
from stream.watch.psi import Drift, chi_square_tail, compare, drift
from stream.watch.rare import chance_beyond, chance_of_more
from stream.watch.sketch import Sketch, as_float32

MODELS = Path(__file__).parents[2] / "models" / "onnx"
CONSUMER = load_manifest(next((MODELS / "consumer").glob("*/")))
FARMER = load_manifest(next((MODELS / "farmer").glob("*/")))
WINDOW, LEVEL = DriftTerms().window_events, DriftTerms().level


def within_chance(hits: int, trials: int, level: float) -> bool:
    """Whether so many alarms are within the middle 99.9 % of what the level makes of them."""
    low, high = binom.interval(0.999, trials, level)
    return bool(low <= hits <= high)


def seen(against: Shape, values: list[float]) -> Drift:
    sketch = Sketch.empty(against)
    for value in as_float32(values):
        sketch.take(value, against)
    return compare(against, sketch)


def test_the_tail_of_the_chi_square_is_exact() -> None:
    """Against scipy, over all degrees and sizes that occur."""
    for degrees in range(1, 13):
        for x in np.linspace(0.01, 120, 60):
            assert math.isclose(
                chi2.sf(x, degrees), chi_square_tail(float(x), degrees), abs_tol=1e-13
            )
    assert chi_square_tail(5.0, 0) == 1.0


@pytest.mark.parametrize("name", [POINTS, "employment_years", "term_months"])
@pytest.mark.parametrize("events", [300, WINDOW])
def test_false_alarms_come_at_the_nominal_level(name: str, events: int) -> None:
    """4,000 windows without drift, training rows drawn anew as well: 1 % alarm, within chance."""
    reference = reference_of(CONSUMER)
    bins = reference.score if name == POINTS else reference.features[name]
    counts = np.asarray([*bins.counts, bins.missing])
    chance, trials = np.random.default_rng(11), 4_000
    training = chance.multinomial(bins.rows, counts / bins.rows, trials)
    live = chance.multinomial(events, counts / bins.rows, trials)
    alarms = sum(
        drift(r, m).p_value < LEVEL for r, m in zip(training.tolist(), live.tolist(), strict=True)
    )
    assert within_chance(alarms, trials, LEVEL)


def test_a_whole_window_alarms_no_more_often_than_stated() -> None:
    """2,000 windows of all series and all questions: at most 1 %, within chance, and some do."""
    reference, chance, trials = reference_of(CONSUMER), np.random.default_rng(77), 2_000
    shapes = {POINTS: reference.score, **reference.features}
    level = LEVEL / len(shapes) / len(QUESTIONS)
    window = Population("consumer", "champion", "1.0.0", {}, events=WINDOW)
    alarmed = set()
    for name, bins in shapes.items():
        shares = np.asarray([*bins.counts, bins.missing]) / bins.rows
        training = chance.multinomial(bins.rows, shares, trials).tolist()
        live = chance.multinomial(WINDOW, shares, trials).tolist()
        for number, (before, now) in enumerate(zip(training, live, strict=True)):
            drawn_anew = Shape(bins.edges, tuple(before[:-1]), before[-1], bins.low, bins.high)
            if judge(name, drawn_anew, Sketch(now[:-1], now[-1]), window, level).alarms:
                alarmed.add(number)
    assert 0 < len(alarmed) <= binom.ppf(0.9995, trials, LEVEL)


def test_real_loans_split_at_random_do_not_drift() -> None:
    """One half as training rows, 1,000 of the other as a window: each feature alarms in 1 %."""
    recipe, chance = RECIPES["consumer"], np.random.default_rng(5)
    rows = consumer_source().loans.matrix(recipe.names)
    alarms = np.zeros(len(recipe.names), dtype=int)
    for _ in range(trials := 300):
        order = chance.permutation(len(rows))
        training, live = rows[order[: len(rows) // 2]], rows[order[-WINDOW:]]
        for column in range(len(recipe.names)):
            bins = shape(training[:, column], MISSING)
            counts = np.searchsorted(bins.edges, live[:, column][live[:, column] != MISSING])
            sketch = Sketch(np.bincount(counts, minlength=len(bins.counts)).tolist())
            sketch.missing = WINDOW - sum(sketch.counts)
            alarms[column] += compare(bins, sketch).p_value < LEVEL
    assert all(within_chance(int(each), trials, LEVEL) for each in alarms)


def test_the_proof_of_drift_finds_what_is_planted_and_nothing_else() -> None:
    """`make drift` in short, on real consumer loans through the watch itself."""
    lines = {each["change"]: each for each in measure(Segment.CONSUMER, 6)}
    assert lines["none"]["first_window"] <= 2
    for change in ("amounts half as large again", "amounts in yuan for fen"):
        assert lines[change]["trials"] == lines[change]["first_window"]


def _lost(values: list[float], share: float, chance: np.random.Generator) -> list[float]:
    return [MISSING if chance.random() < share else value for value in values]


def test_a_shift_is_found_within_a_window() -> None:
    """In 199 of 200 windows of 1,000: points 6 lower, or a known field lost in 8 % more of cases.

    Six points are a fifth of their standard deviation and an index of some 0.08, which the folk
    limits of 0.1 and 0.25 let pass. Half as much is found in some of the windows.
    """
    reference, chance, runs = reference_of(CONSUMER), np.random.default_rng(3), 200
    level = LEVEL / (len(reference.features) + 1) / len(QUESTIONS)
    years = reference.features["employment_years"]
    found, indices = [0, 0], []
    for _ in range(runs):
        points = [value - 6 for value in spread(reference.score, WINDOW, chance)]
        lower = seen(reference.score, points)
        lost = seen(years, _lost(drawn(years, WINDOW, chance), 0.08, chance))
        found = [found[0] + (lower.p_value < level), found[1] + (lost.p_value < level)]
        indices.append(lower.psi)
    assert all(hits >= 199 for hits in found)
    assert float(np.mean(indices)) < 0.1


def test_the_first_unknown_values_are_found() -> None:
    """A field that training always knew alarms when six of a thousand cases lack it."""
    reference = reference_of(CONSUMER)
    shape_of = reference.features["utilisation_pct"]
    level = LEVEL / (len(reference.features) + 1) / len(QUESTIONS)
    assert chance_of_more(shape_of.missing, shape_of.rows, 6, WINDOW) < level
    assert chance_of_more(shape_of.missing, shape_of.rows, 1, WINDOW) > level


@pytest.mark.parametrize(("known", "rows"), [(0, 8_000), (40, 8_000), (500, 8_000)])
def test_unknown_values_are_tested_exactly(known: int, rows: int) -> None:
    """The chance of so many is scipy's hypergeometric tail."""
    for live in (1, 3, 12, 90):
        said = chance_of_more(known, rows, live, WINDOW)
        if live * rows > known * WINDOW:
            tail = hypergeom.sf(live - 1, rows + WINDOW, known + live, WINDOW)
            assert math.isclose(tail, said, rel_tol=1e-6)
        else:
            assert said == 1.0


def test_values_beyond_training_are_no_alarm_by_chance() -> None:
    """Of 4,000 pairs of samples of one population at most the nominal share goes beyond."""
    chance, trials = np.random.default_rng(2), 4_000
    training, live = chance.random((trials, 300)), chance.random((trials, 100))
    low, high = training.min(axis=1)[:, None], training.max(axis=1)[:, None]
    beyond = ((live < low) | (live > high)).sum(axis=1)
    for level in (0.05, LEVEL):
        hits = sum(chance_beyond(300, int(k), 100) < level for k in beyond)
        assert hits <= binom.ppf(0.9995, trials, level)


def test_a_window_is_judged_once_when_it_is_full() -> None:
    """Nothing is said before; then each series has its finding and the next window is empty."""
    watch = DriftWatch(
        {CONSUMER.onnx_sha256: reference_of(CONSUMER)}, DriftTerms(window_events=400)
    )
    audits = population(CONSUMER, 1_000, 8)
    judged = [audit.decision.decision_id for audit in audits if watch.take(audit) is not None]
    assert [audits[399].decision.decision_id, audits[799].decision.decision_id] == judged
    (found,) = watch.populations.values()
    assert (found.windows, found.events) == (2, 200)
    assert [POINTS, *CONSUMER.feature_names] == sorted(
        (each.series for each in found.latest), key=[POINTS, *CONSUMER.feature_names].index
    )
    assert found.alarms == dict.fromkeys(found.alarms, 0)


def test_a_window_of_other_people_alarms() -> None:
    """Series that moved alarm, the others do not; values beyond all training rows are told."""
    watch = DriftWatch(
        {CONSUMER.onnx_sha256: reference_of(CONSUMER)}, DriftTerms(window_events=500)
    )
    for audit in population(CONSUMER, 500, 9):
        moved = {**audit.features, "annual_income_fen": 1e15}
        watch.take(msgspec.structs.replace(audit, features=moved))
    (found,) = watch.populations.values()
    assert {"annual_income_fen"} == {each.series for each in found.latest if each.alarms}
    (income,) = (each for each in found.latest if each.alarms)
    assert income.alarms == ("shape", "outside")
    assert (income.outside, income.missing) == (1.0, 0.0)
    assert found.alarms["annual_income_fen"] == 1


def _unscored(audit: Audit) -> Audit:
    """A case the model was not asked of, as it requires a field that lacks."""
    decision = msgspec.structs.replace(audit.decision, model=None, score_points=None)
    champion = ModelInForce("champion", CONSUMER.version, CONSUMER.onnx_sha256)
    standing = msgspec.structs.replace(audit.standing, models=(champion,))
    lack = RuleHit("features", "refer", {"missing": "utilisation_pct"})
    return msgspec.structs.replace(
        audit, decision=decision, standing=standing, features={}, rules=(lack,)
    )


def test_a_required_field_that_lacks_counts_as_missing() -> None:
    """Such a case has no score and no features, and is in the rate all the same."""
    watch = DriftWatch(
        {CONSUMER.onnx_sha256: reference_of(CONSUMER)}, DriftTerms(window_events=300)
    )
    audits = population(CONSUMER, 400, 10)
    for audit in [*map(_unscored, audits[:100]), *audits[100:]]:
        watch.take(audit)
    (found,) = watch.populations.values()
    assert {e.series: e.alarms for e in found.latest if e.alarms} == {
        "utilisation_pct": ("missing",)
    }
    missing = {each.series: each.missing for each in found.latest}
    assert missing["utilisation_pct"] == 0.25
    assert missing["term_months"] == 0.0


def test_models_without_training_rows_are_counted_as_unknown() -> None:
    """A score by a model that is not among the folders is no drift and is not passed over."""
    watch = DriftWatch({FARMER.onnx_sha256: reference_of(FARMER)}, DriftTerms())
    for audit in population(CONSUMER, 3, 1):
        watch.take(audit)
    assert (watch.unknown, watch.populations) == (3, {})


def test_a_value_on_an_edge_is_where_training_had_it() -> None:
    """A ratio of 0.7 is below its float32 neighbour in training and must not change its bin."""
    ratios = np.asarray([0.3, 0.7, 0.9] * 30, dtype=np.float32)
    bins = shape(ratios)
    sketch = Sketch.empty(bins)
    for value in as_float32([0.3, 0.7, 0.9]):
        sketch.take(value, bins)
    assert sketch.counts == [1, 1, 1]
