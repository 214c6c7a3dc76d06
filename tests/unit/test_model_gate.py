"""Calibration, groups of people, and the gate that keeps a model from being written."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from stream.errors import ModelError
from stream.lab.calibration import BINS, calibration
from stream.lab.cli import train
from stream.lab.data import Loans
from stream.lab.drivers import Judged, explained
from stream.lab.fairness import fairness
from stream.lab.people import UNKNOWN, People
from stream.scoring import gate
from stream.scoring.figures import Attribute, Calibration, Driver, Estimate, Fairness
from stream.scoring.gate import breaches, check_gate, crossed
from stream.scoring.manifest import Scaling, load_manifest

MODELS = Path(__file__).parents[2] / "models" / "onnx"
FOLDERS = sorted(path.parent for path in MODELS.glob("*/*/manifest.json"))
ROWS = 20_000
RNG = np.random.default_rng(3)
TRUE_LOG_ODDS = RNG.normal(-2.5, 1.0, ROWS)
BAD = (RNG.random(ROWS) < 1.0 / (1.0 + np.exp(-TRUE_LOG_ODDS))).astype(np.int64)
SOUND = calibration(TRUE_LOG_ODDS, BAD)
METRICS = load_manifest(FOLDERS[0]).metrics
EVEN = Fairness("made-up rows", (Attribute("region", (), 1.0, 1.0),), ())


def _holds(found: Estimate, value: float) -> bool:
    return found.low <= value <= found.high


def test_a_score_that_is_right_looks_right() -> None:
    """The ideal slope and intercept lie inside, and no test rejects the truth."""
    assert _holds(SOUND.slope, 1.0)
    assert _holds(SOUND.intercept, 0.0)
    assert SOUND.error < 0.01
    assert min(SOUND.hosmer_lemeshow_p, SOUND.spiegelhalter_p) > 0.01
    assert (ROWS, BAD.sum()) == (sum(b.rows for b in SOUND.deciles), SOUND.observed_bad)
    assert len(SOUND.deciles) == BINS


def test_a_further_step_is_measured_on_rows_it_has_not_seen() -> None:
    """It mends a pd that is off, and is not shown to help one that is right."""
    off = {each.name: each for each in calibration(0.5 * TRUE_LOG_ODDS - 0.5, BAD).recalibrated}
    assert {"Platt", "isotonic"} == set(off)
    assert min(each.gain.low for each in off.values()) > 0.0
    assert max(each.error for each in off.values()) < 0.01
    assert max(each.gain.low for each in SOUND.recalibrated) < 0.0


def test_a_pd_that_is_too_low_shows_in_the_intercept() -> None:
    """Half a log-odds off everywhere: the intercept says so and the slope stays at 1."""
    found = calibration(TRUE_LOG_ODDS - 0.5, BAD)
    assert _holds(found.intercept, 0.5)
    assert not _holds(found.intercept, 0.0)
    assert _holds(found.slope, 1.0)
    assert max(found.hosmer_lemeshow_p, found.spiegelhalter_p) < 0.0001


def test_a_pd_that_is_too_extreme_shows_in_the_slope() -> None:
    """Log-odds stretched twofold about zero: the slope is a half."""
    assert _holds(calibration(2.0 * TRUE_LOG_ODDS, BAD).slope, 0.5)


def test_the_expected_calibration_error_is_the_mean_gap() -> None:
    """Every pd 0.2; two tenths of which a quarter goes bad, eight without any: 0.05 and 0.2."""
    bad = np.zeros(1_000, dtype=np.int64)
    bad[400:600:4] = 1
    found = calibration(np.full(1_000, np.log(0.25)) + np.linspace(-0.01, 0.01, 1_000), bad)
    assert pytest.approx(found.error, abs=2e-3) == 0.17
    assert pytest.approx(found.worst, abs=2e-3) == 0.2


def _people(names: list[str], bad: np.ndarray) -> People:
    return People(Loans({}, bad), {"region": np.array(names)}, "made-up rows")


def test_the_impact_ratio_compares_the_judged_groups_only() -> None:
    """Six of ten against nine of ten is two thirds; a handful and the nameless do not count."""
    names = ["north"] * 1_000 + ["south"] * 1_000 + ["isle"] * 20 + [UNKNOWN] * 500
    approved = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0] * 100 + [1] * 900 + [0] * 620)
    bad = np.zeros(len(names), dtype=np.int64)
    bad[:100] = 1
    found = fairness(_people(names, bad), np.full(len(bad), -2.0), approved)
    (region,) = found.attributes
    assert {group.name: group.judged for group in region.groups} == {
        "isle": False,
        "north": True,
        UNKNOWN: False,
        "south": True,
    }
    assert region.impact_ratio == 0.6667
    assert pytest.approx(region.good_impact_ratio, abs=1e-3) == 0.6667
    assert region.groups[1].observed == 0.1


def test_a_ratio_is_traced_to_the_family_it_comes_from() -> None:
    """The north is ten points worse by one family and better by another: gaps say both, in points.

    With the one at everyone's mean, north and south are approved alike.
    """
    names = ["north"] * 1_000 + ["south"] * 1_000
    unit = 40.0 / np.log(2.0)
    spread = np.tile(np.linspace(-20.0, 20.0, 1_000), 2)
    use, sector = np.repeat([10.0, 0.0], 1_000), np.repeat([-0.1, 0.0], 1_000) + spread
    outputs = np.column_stack([use, sector, np.zeros(2_000)]) / unit
    scaling = Scaling(base_points=600, base_odds=1.0, pdo=40.0)
    judged = Judged.of(("M_OFFER_USE", "M_SECTOR"), outputs, scaling, 600)
    people = _people(names, np.zeros(2_000, dtype=np.int64))
    approved = (judged.points + 0.5 >= 600).astype(np.int64)
    found = explained(fairness(people, outputs.sum(axis=1), approved), people, judged)
    why = found.attributes[0].why
    assert why is not None
    assert (why.lowest, why.highest) == ("north", "south")
    assert why.evened == ("M_OFFER_USE",)
    gaps = [Driver("M_OFFER_USE", -10.0), Driver("M_SECTOR", 0.1)]
    assert gaps == list(why.gaps)
    assert pytest.approx(1.0, abs=0.02) == why.evened_ratio


def test_one_group_alone_has_no_ratio() -> None:
    """Nothing to compare is null, not one."""
    found = fairness(
        _people(["north"] * 300, np.zeros(300, dtype=np.int64)),
        np.full(300, -2.0),
        np.ones(300, dtype=np.int64),
    )
    assert found.attributes[0].impact_ratio is None


CROSSED: list[tuple[str, Calibration]] = [
    ("slope 0.50", msgspec.structs.replace(SOUND, slope=Estimate(0.5, 0.4, 0.6))),
    ("intercept 0.40", msgspec.structs.replace(SOUND, intercept=Estimate(0.4, 0.3, 0.5))),
    ("error 0.040", msgspec.structs.replace(SOUND, error=0.04)),
]


@pytest.mark.parametrize(("said", "found"), CROSSED, ids=[case[0] for case in CROSSED])
def test_a_model_off_its_calibration_is_named(said: str, found: Calibration) -> None:
    """Each line of the gate is crossed by itself, and the message carries the figure."""
    (breach,) = crossed(found, EVEN)
    assert said in breach.words


def test_few_rows_cross_no_line() -> None:
    """A wide interval that still reaches the line proves nothing."""
    wide = msgspec.structs.replace(SOUND, slope=Estimate(0.5, 0.2, 0.81))
    assert list(crossed(wide, EVEN)) == []


NAN = float("nan")
UNMEASURED: list[tuple[str, Calibration, Fairness]] = [
    ("region", SOUND, Fairness("few", (Attribute("region", (), None, None),), ())),
    ("age", SOUND, Fairness("no ages", EVEN.attributes, ("age",))),
    ("people", SOUND, Fairness("nobody", (), ())),
    ("slope", msgspec.structs.replace(SOUND, slope=Estimate(1.0, 0.7, 1.3)), EVEN),
    ("intercept", msgspec.structs.replace(SOUND, intercept=Estimate(0.0, -0.3, 0.3)), EVEN),
    ("slope", msgspec.structs.replace(SOUND, slope=Estimate(1.0, NAN, NAN)), EVEN),
    ("error", msgspec.structs.replace(SOUND, error=NAN), EVEN),
]


@pytest.mark.parametrize(("line", "found", "people"), UNMEASURED, ids=[c[0] for c in UNMEASURED])
def test_what_was_not_measured_does_not_pass(
    line: str, found: Calibration, people: Fairness
) -> None:
    """Too few rows, nobody recorded it, an interval that holds all that is allowed, no number."""
    (breach,) = crossed(found, people)
    assert line == breach.line
    metrics = msgspec.structs.replace(METRICS, calibration=found, fairness=people, accepted={})
    assert [breach.words] == breaches(metrics)
    reason = {line: "a reason of its own for this test"}
    assert breaches(msgspec.structs.replace(metrics, accepted=reason)) == []
    idle = msgspec.structs.replace(metrics, accepted={**reason, "other": reason[line]})
    assert breaches(idle) == ["accepted, and not crossed: other"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_the_committed_models_pass_the_gate(folder: Path) -> None:
    """Each was measured; where an ideal slope or intercept lies outside, its card says so."""
    manifest = load_manifest(folder)
    check_gate(manifest)
    found = manifest.metrics.calibration
    page = (folder / "card.md").read_text(encoding="utf-8")
    ideal = _holds(found.slope, 1.0) and _holds(found.intercept, 0.0)
    assert ideal == ("1 and 0 lie inside" in page)
    assert ideal != ("the ideal 1 and 0 do not both lie inside" in page)
    assert manifest.metrics.held_out.rows == sum(part.rows for part in found.deciles)


def test_an_accepted_ratio_is_recorded_with_its_reason() -> None:
    """Without its reason the merchant model would not pass; the card shows both."""
    folder = next((MODELS / "merchant").glob("*/"))
    metrics = load_manifest(folder).metrics
    region = metrics.fairness.attributes[0]
    others = {line: why for line, why in metrics.accepted.items() if line != "region"}
    words = "impact ratio by region 0.75, at least 0.8"
    assert [words] == breaches(msgspec.structs.replace(metrics, accepted=others))
    page = (folder / "card.md").read_text(encoding="utf-8")
    assert f"{words}. **Accepted**: {metrics.accepted['region']}" in page
    assert region.why is not None
    assert region.why.gaps[0].family == "M_OFFER_USE"
    assert f"M_OFFER_USE {region.why.gaps[0].points:+.1f}" in page


def test_train_writes_no_model_that_fails_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the line above the consumer model's ratio, train stops and leaves no folder."""
    monkeypatch.setattr(gate, "IMPACT_RATIO_MIN", 0.95)
    app = typer.Typer()
    app.command()(train)
    done = CliRunner().invoke(app, ["consumer", "--out", str(tmp_path / "models")])
    assert isinstance(done.exception, ModelError)
    assert "impact ratio by region 0.84, at least 0.95" in done.exception.message
    assert not (tmp_path / "models").exists()
