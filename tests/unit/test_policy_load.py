"""A policy that is wrong is refused at load, with every fault, its key and its fix."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from policy_cases import POLICY, POLICY_FILE
from typer.testing import CliRunner

from stream.domain.reasons import ReasonCode
from stream.errors import ConfigError
from stream.policy.cli import app
from stream.policy.load import PolicyError, load_policy

_TEXT = POLICY_FILE.read_text(encoding="utf-8")
_AGAIN = """
[[knock_out]]
id = "again"
feature = "bureau.inquiries_12m"
op = ">="
value = 12
reason = "B_INQUIRIES"
overridable = true
when_missing = "pass"
"""

_WRONG = [
    ("[halt]", "[halt]\nregions = []", "(file)|halt", "unknown field"),
    ("[bureau]\nage", "[bureau]\nage_mx = 1\nage", "bureau", "unknown field"),
    ("points_from = 607", "points_from = 608", "segments.consumer.bands[1].points_from", "gap"),
    ("points_from = 607", "points_from = 606", "segments.consumer.bands[1].points_from", "overlap"),
    ("points_from = 592", "points_from = 593", "segments.consumer.bands[0].points_from", "cut-off"),
    ("cut_off_points = 592", "cut_off_points = 1_001", "segments.consumer.cut_off_points", "scale"),
    ("limit_fen = 15_000_000", "limit_fen = 9_000_000", "segments.consumer.bands[1].limit_fen", ""),
    ("apr_min_bps = 801", "apr_min_bps = 1_300", "price_tiers.tier_b.apr_min_bps", "above"),
    ("apr_min_bps = 801", "apr_min_bps = 850", "price_tiers.tier_b.apr_min_bps", "gap"),
    ("apr_min_bps = 801", "apr_min_bps = 700", "price_tiers.tier_b.apr_min_bps", "overlaps"),
    ("term_min_months = 1\n", "term_min_months = 61\n", "products.quick_unsecured", "above"),
    ('segments = ["farmer"]', "segments = []", "products.farmer_loan.segments", "no segment"),
    ('id = "inquiries"', 'id = "collections"', "knock_out[5].id", "twice"),
    ("[[knock_out]]\nid = \"past", _AGAIN.replace("12\n", "nan\n") + "[[knock_out]]\nid = \"past",
     "knock_out[0].value", "finite"),
    ("# Where a", _AGAIN + "\n# Where a", "knock_out[6]", "unreachable"),
    ("bureau.inquiries_12m", "bureau.inquiries_6m", "knock_out[5].feature", "unknown feature"),
    ('models = []', 'models = ["gone"]', "halt.models", "no segment uses"),
    ('segments = []\nchannels', 'segments = ["miner"]\nchannels', "halt.segments", "miner"),
    ('families = ["A", "M"]', 'families = ["A"]', "queues", "no queue"),
    ('families = ["A", "M"]', 'families = ["A", "M", "W"]', "queues.credit.families", "already"),
    ('"hit", "thin_file"]', '"hit", "stale"]', "segments.consumer.bureau_accepted", "never"),
    ("consumer = 20_000_000", "farmer = 60_000_000", "products.quick_unsecured", "range"),
    ("policy_id", "policy_id = ", "(file)", "not TOML"),
]  # fmt: skip


def _write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "policy.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_shipped_policy_loads_and_names_its_bytes() -> None:
    """The hash of a decision's policy is that of the file as it lies there."""
    assert hashlib.sha256(POLICY_FILE.read_bytes()).hexdigest() == POLICY.sha256


def test_every_reason_has_a_queue() -> None:
    """No reason of the closed list is without a route."""
    assert set(ReasonCode) == POLICY.routes.keys()


@pytest.mark.parametrize(("old", "new", "key", "problem"), _WRONG)
def test_wrong_policy_is_refused(
    tmp_path: Path, old: str, new: str, key: str, problem: str
) -> None:
    """Each kind of fault is refused with file, key, problem and fix."""
    assert old in _TEXT
    file = _write(tmp_path, _TEXT.replace(old, new, 1))
    with pytest.raises(PolicyError) as caught:
        load_policy(file)
    keys = key.split("|")
    found = [f for f in caught.value.faults if any(f.key.startswith(k) for k in keys)]
    assert found, caught.value.faults
    assert any(problem in fault.problem for fault in found), found
    assert all(fault.fix for fault in caught.value.faults)
    assert str(file) in str(caught.value)


def test_all_faults_are_listed_together(tmp_path: Path) -> None:
    """One fault does not hide the next, of types or of content."""
    types = _TEXT.replace("points_from = 607", 'points_from = "x"').replace("op = ", "ob = ", 1)
    with pytest.raises(PolicyError) as caught:
        load_policy(_write(tmp_path, types))
    places = {"segments.consumer.bands[1].points_from", "knock_out[0]"}
    assert places <= {fault.key for fault in caught.value.faults}
    content = _TEXT.replace("points_from = 607", "points_from = 608")
    content = content.replace("apr_min_bps = 801", "apr_min_bps = 1_300")
    with pytest.raises(PolicyError) as caught:
        load_policy(_write(tmp_path, content))
    assert len(caught.value.faults) == 2


def test_missing_file_says_so(tmp_path: Path) -> None:
    """A file that is not there is a ConfigError that names it."""
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        load_policy(tmp_path / "none.toml")


def test_check_command_exits_0_and_2(tmp_path: Path) -> None:
    """The command says yes with the cut-offs, and no with every fault and exit 2."""
    runner = CliRunner()
    good = runner.invoke(app, ["check", str(POLICY_FILE), "--json"])
    assert good.exit_code == 0
    assert json.loads(good.stdout)["cut_off_points"]["consumer"] == 592
    file = _write(tmp_path, _TEXT.replace("apr_min_bps = 801", "apr_min_bps = 1_300"))
    bad = runner.invoke(app, ["check", str(file), "--json"])
    assert bad.exit_code == 2
    assert json.loads(bad.stdout)["faults"][0]["key"] == "price_tiers.tier_b.apr_min_bps"
    assert runner.invoke(app, ["check", str(tmp_path / "none.toml")]).exit_code == 2
