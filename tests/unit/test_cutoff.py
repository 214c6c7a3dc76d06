"""Cut-offs from a budget: the interval holds, the choice keeps it, nothing is written silently."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from stream.cli import app
from stream.domain.application import Segment
from stream.errors import ConfigError
from stream.lab.cutoff import Terms, bad_by_amount, choose, equal_loans
from stream.lab.cutoff_cli import POLICY
from stream.lab.portfolio import Portfolio
from stream.policy.load import load_policy, parse_policy
from stream.scoring.manifest import load_manifest

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models" / "onnx"
SCALING = load_manifest(next((MODELS / "consumer").glob("*/"))).scaling
FILE = parse_policy(POLICY.read_bytes(), POLICY)
TERMS = Terms(funding_bps=300, loss_given_default=0.73)


def _loans(rows: int, *, centre: float = 700.0, seed: int = 1) -> Portfolio:
    """Loans whose pd is right, with amounts that differ a lot."""
    rng = np.random.default_rng(seed)
    points = rng.normal(centre, 60.0, rows).round().astype(np.int64)
    odds = SCALING.base_odds * 2.0 ** ((points - SCALING.base_points) / SCALING.pdo)
    pd = 1.0 / (1.0 + odds)
    amounts = rng.lognormal(14.0, 0.8, rows).round()
    bad = (rng.random(rows) < pd).astype(np.int64)
    return Portfolio(Segment.CONSUMER, "made-up loans", points, amounts, pd, bad)


def _csv(path: Path, loans: Portfolio) -> Path:
    columns = zip(loans.points, loans.amounts, loans.bad, strict=True)
    rows = [f"{points},{amount:.0f},{bad}" for points, amount, bad in columns]
    path.write_text("\n".join(["points,amount_fen,bad", *rows]))
    return path


def _run(*arguments: object) -> Result:
    models = ["--models", str(MODELS)]
    return CliRunner().invoke(app, ["cutoff", *map(str, arguments), *models])


@pytest.mark.parametrize("rate", [0.003, 0.02, 0.2])
def test_the_interval_covers_the_true_rate(rate: float) -> None:
    """Amounts that differ a lot, larger ones worse: at least 95 of 100 intervals hold the rate."""
    rng, hits, runs = np.random.default_rng(7), 0, 400
    for _ in range(runs):
        amounts = rng.lognormal(0.0, 1.0, 1_500)
        pd = np.clip(rate * (0.5 + 0.5 * amounts / np.exp(0.5)), 0.0, 1.0)
        true = float(amounts @ pd / amounts.sum())
        found = bad_by_amount(amounts, (rng.random(1_500) < pd).astype(np.int64), 0.05)
        hits += found.low <= true <= found.high
    assert hits >= 0.93 * runs, "four standard errors below 95 %"


def test_no_bad_loan_is_no_proof_of_none() -> None:
    """With nothing bad among 100 equal loans the interval ends at 1 - 0.025 ** (1 / 100)."""
    found = bad_by_amount(np.full(100, 5.0), np.zeros(100, dtype=np.int64), 0.05)
    assert (found.value, found.low) == (0.0, 0.0)
    assert pytest.approx(found.high) == 1.0 - 0.025**0.01


def test_one_large_loan_tells_less_than_many() -> None:
    """A loan as large as all the others together leaves less than four to tell by."""
    amounts = np.array([1.0] * 99 + [99.0])
    assert equal_loans(amounts, np.zeros(100, dtype=np.int64)) < 4.0


def test_the_choice_keeps_the_budget_by_pd_and_by_outcome() -> None:
    """The chosen step is the lowest that does; the next lower one does not."""
    choice = choose(_loans(60_000), FILE, 0.01, TERMS)
    assert choice.chosen is not None
    assert choice.chosen.bad.high <= 0.01
    assert choice.chosen.expected <= 0.01
    lower = [step for step in choice.steps if step.cut_off_points < choice.chosen.cut_off_points]
    assert lower
    assert not any(step.within(0.01) for step in lower)


def test_bands_cover_what_passes_and_better_ones_allow_no_less() -> None:
    """From cut-off to the end of the scale without a gap; prices fall as points rise."""
    choice = choose(_loans(60_000), FILE, 0.02, TERMS)
    assert choice.chosen is not None
    bands = choice.bands
    assert choice.chosen.cut_off_points == bands[0].points_from
    assert FILE.segments[Segment.CONSUMER].points_max == bands[-1].points_to
    for worse, better in pairwise(bands):
        assert worse.points_to + 1 == better.points_from
        assert worse.limit_fen <= better.limit_fen
        assert worse.apr_min_bps >= better.apr_min_bps
        assert worse.pd > better.pd
    for band in bands:
        assert band.price_tier is not None
        assert FILE.price_tiers[band.price_tier].apr_max_bps >= band.apr_min_bps


def test_losses_that_no_rate_carries_have_no_tier() -> None:
    """Half of the loans failing costs more than the dearest tier allows."""
    choice = choose(_loans(20_000, centre=450.0), FILE, 0.9, TERMS)
    assert choice.bands[0].price_tier is None


@pytest.mark.parametrize("segment", ["farmer", "merchant", "consumer"])
def test_the_public_loans_do_not_allow_half_a_percent(segment: str) -> None:
    """It is said so with the closest figure and its interval, the exit is 1, nothing is chosen."""
    data = ROOT.parent / "shared" / "data"
    if segment != "consumer" and not (data / "sba").is_dir():
        pytest.skip(f"needs the SBA loans at {data / 'sba'}")
    done = _run(segment, "--data", data)
    assert done.exit_code == 1
    assert "No cut-off keeps the bad rate by amount within 0.50%. None is chosen." in done.output
    assert re.search(r"The closest is \d+: \d\.\d\d% \(\d\.\d\d% to \d\.\d\d%\)", done.output)
    assert max(map(len, done.output.splitlines())) <= 80
    closest = re.search(r"The closest is (\d+): ([\d.]+)% \((.+)\), pd", done.output)
    assert closest is not None
    page = (ROOT / "docs" / "cutoff.md").read_text(encoding="utf-8").replace(" %", "%")
    row = next(line for line in page.splitlines() if line.startswith(f"| {segment} |"))
    assert [closest[1], f"{closest[2]}%", closest[3]] == [row.split(" | ")[i] for i in (1, 3, 4)]


def test_a_policy_is_written_only_when_asked_and_only_once(tmp_path: Path) -> None:
    """The new policy loads, keeps comments and other segments, and is not replaced unasked."""
    outcomes, target = _csv(tmp_path / "loans.csv", _loans(40_000)), tmp_path / "policy-new.toml"
    asked = ("consumer", "--outcomes", outcomes, "--budget", 0.01)
    shown = _run(*asked, "--json")
    assert shown.exit_code == 0, shown.output
    choice = json.loads(shown.output)
    assert [outcomes] == list(tmp_path.iterdir())
    written = _run(*asked, "--write", target)
    assert written.exit_code == 0, written.output
    policy = load_policy(target)
    consumer = policy.segments[Segment.CONSUMER]
    assert choice["chosen"]["cut_off_points"] == consumer.cut_off_points
    assert [band["limit_fen"] for band in choice["bands"]] == [b.limit_fen for b in consumer.bands]
    assert policy.policy_id.startswith("cutoff-")
    assert FILE.segments[Segment.FARMER] == policy.segments[Segment.FARMER]
    comments = [line for line in POLICY.read_text().splitlines() if line.startswith("#")]
    assert comments == [line for line in target.read_text().splitlines() if line.startswith("#")]
    before = target.read_bytes()
    again = _run(*asked, "--write", target, "--policy-id", "another-one")
    assert isinstance(again.exception, ConfigError)
    assert "--force" in again.exception.fix
    assert before == target.read_bytes()
    assert _run(*asked, "--write", target, "--policy-id", "another-one", "--force").exit_code == 0
    assert load_policy(target).policy_id == "another-one"


def test_nothing_is_written_without_a_choice(tmp_path: Path) -> None:
    """A budget out of reach leaves no file, not even with --force."""
    outcomes, target = _csv(tmp_path / "loans.csv", _loans(500)), tmp_path / "policy-new.toml"
    done = _run("consumer", "--outcomes", outcomes, "--write", target, "--force")
    assert done.exit_code == 1
    assert "nothing was written: no cut-off for consumer" in done.output
    assert not target.exists()


def test_a_plot_is_drawn_where_asked(tmp_path: Path) -> None:
    """One SVG, with the budget and the interval in its legend; the same bytes again."""
    outcomes = _csv(tmp_path / "loans.csv", _loans(5_000))
    _run("consumer", "--outcomes", outcomes, "--budget", 0.05, "--plots", tmp_path / "a")
    _run("consumer", "--outcomes", outcomes, "--budget", 0.05, "--plots", tmp_path / "b")
    drawn = (tmp_path / "a" / "cutoff-consumer.svg").read_text(encoding="utf-8")
    assert "budget 5.00%" in drawn
    assert drawn == (tmp_path / "b" / "cutoff-consumer.svg").read_text(encoding="utf-8")


BROKEN = ["points,bad\n1,0\n", "points,amount_fen,bad\nx,1,0\n", "points,amount_fen,bad\n1,1,2\n"]


@pytest.mark.parametrize("content", BROKEN)
def test_a_file_that_holds_no_loans_is_named(tmp_path: Path, content: str) -> None:
    """A missing column, a word for a number, an outcome that is none: one line, no value in it."""
    path = tmp_path / "loans.csv"
    path.write_text(content)
    done = _run("consumer", "--outcomes", path)
    assert isinstance(done.exception, ConfigError)
    assert str(path) in done.exception.message


def test_one_file_is_for_one_segment(tmp_path: Path) -> None:
    """`--all` with one file of loans is refused."""
    done = _run("--all", "--outcomes", tmp_path / "loans.csv")
    assert isinstance(done.exception, ConfigError)
