"""What the watch shows as metrics and tables is what it knows."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import structlog
from model_cases import FARMER, TRUSTED, copied
from prometheus_client import CollectorRegistry
from watch_records import APPROVAL, approval, challenger, outcome, population, reference_of

from stream.config import load_settings
from stream.domain.application import Segment
from stream.domain.outcome import OutcomeEvent
from stream.edge import watch_models
from stream.edge.watch_models import WatchedModels
from stream.obs.watch_metrics import WatchMetrics
from stream.ops.watch_show import print_report, show_numbers
from stream.policy.model import Guard
from stream.scoring.manifest import load_manifest
from stream.watch.drift import DriftTerms
from stream.watch.guard import GuardState
from stream.watch.report import report
from stream.watch.watch import Terms, Watch

MODELS = Path(__file__).parents[2] / "models" / "onnx"
CONSUMER = load_manifest(next((MODELS / "consumer").glob("*/")))
MODEL = APPROVAL.decision.model
DECIDER = f"{MODEL.model_id} {MODEL.version}" if MODEL else ""
STATES = dict.fromkeys(Segment, GuardState.NORMAL) | {Segment.CONSUMER: GuardState.TIGHTENED}


@pytest.fixture
def watch() -> Watch:
    """A full window without drift; ten loans of the champion, one bad; five of a challenger."""
    terms = Terms(
        {CONSUMER.onnx_sha256: reference_of(CONSUMER)}, Guard(), DriftTerms(window_events=100)
    )
    found = Watch(terms, {})
    for audit in population(CONSUMER, 100, 6):
        found.hear_audit(audit)
    for number in range(1_000, 1_015):
        audit = approval(number, 20, 1_000_000)
        audit = audit if number < 1_010 else challenger(audit)
        found.hear_audit(audit)
        found.hear_outcome(outcome(audit, OutcomeEvent.DISBURSED, 21))
    bad = approval(1_000, 20)
    found.hear_outcome(outcome(bad, OutcomeEvent.PAST_DUE, 30, days_past_due=89))
    found.hear_outcome(outcome(bad, OutcomeEvent.PAST_DUE, 31, days_past_due=90))
    return found


def test_metrics_say_what_was_counted(watch: Watch) -> None:
    """Shares by arm with their interval, the budget's use and the state in force."""
    registry = CollectorRegistry()
    metrics = WatchMetrics(registry)
    show_numbers(metrics, watch, STATES, Guard())

    def shown(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    of_champion = {
        "segment": "consumer",
        "model": DECIDER,
        "arm": "champion",
        "by": "count",
    }
    assert shown("tenminute_watch_bad_ratio", **of_champion, bound="share") == 0.1
    high = shown("tenminute_watch_bad_ratio", **of_champion, bound="high")
    assert high is not None
    assert 0.3 < high < 0.5
    tried = {**of_champion, "model": DECIDER.split(maxsplit=1)[0] + " 9.0.0", "arm": "challenger"}
    assert shown("tenminute_watch_bad_ratio", **tried, bound="share") == 0.0
    assert shown("tenminute_watch_guard_state", segment="consumer") == 1
    assert shown("tenminute_watch_guard_state", segment="farmer") == 0
    # One of fifteen loans of 10,000 yuan in its first month: 15 of them earn 0.5 % / 12 each.
    used = shown("tenminute_watch_budget_used_ratio", segment="consumer")
    assert used == pytest.approx(1 / (15 * 0.005 / 12))


def test_the_report_is_printed(watch: Watch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each vintage, each series and the guard have their row."""
    found = report(watch, STATES, Guard())
    print_report(found)
    shown = capsys.readouterr().out
    assert {"champion", "challenger"} == {row["arm"] for row in found["vintages"]}
    for word in ("tightened", "2026-01", "challenger", "points", "utilisation_pct", "10.00%"):
        assert word in shown


def test_only_signed_models_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody vouches for does not say what is normal; one pushed later is found."""
    copied(tmp_path / "farmer" / "1.0.0")
    shutil.copytree(FARMER, tmp_path / "farmer" / "1.0.1")
    (tmp_path / "farmer" / "1.0.1" / "manifest.sig").unlink()
    monkeypatch.setattr(watch_models, "trusted_keys", lambda _settings: TRUSTED)
    models = WatchedModels(load_settings(models_dir=tmp_path), structlog.get_logger())
    assert len(list(models.series())) == 1
    shutil.copytree(MODELS / "consumer", tmp_path / "consumer")
    for folder in (tmp_path / "consumer").glob("*/"):
        copied(tmp_path / "copy", source=folder)
        for name in ("manifest.json", "manifest.sig"):
            shutil.copy(tmp_path / "copy" / name, folder)
    monkeypatch.setattr(watch_models, "SCAN_SECONDS", 0.0)
    models.scan(1)
    raw = (folder / "manifest.json").read_bytes()
    assert hashlib.sha256(raw).hexdigest() in models.references
