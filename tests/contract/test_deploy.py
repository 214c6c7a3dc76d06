"""The deploy files are valid and true: metrics, commands and anchors they name exist."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from stream.config import Settings
from stream.limits import LEAVE_SECONDS_MAX
from stream.obs.metrics import EngineMetrics
from stream.obs.notary_metrics import NotaryMetrics
from stream.obs.watch_metrics import WatchMetrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMMANDS = {"engine", "loop", "topics", "watch"}
FROM_PROMETHEUS = {"job", "instance"}


def exported() -> dict[str, set[str]]:
    """Sample names of engine, notary and watch with their label names."""
    registry = CollectorRegistry()
    metrics = EngineMetrics(registry)
    metrics.model_info.labels("m", "1").set(1)
    metrics.policy_info.labels("p").set(1)
    NotaryMetrics(registry)
    watch = WatchMetrics(registry)
    watch.know("s", ["f"])
    for gauge in (watch.psi, watch.missing, watch.outside):
        gauge.labels("s", "champion", "f").set(0)
    watch.bad.labels("s", "m", "champion", "count", "share").set(0)
    found: dict[str, set[str]] = {}
    for family in registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions() -> list[str]:
    board = json.loads((DEPLOY / "grafana" / "engine.json").read_bytes())
    panels = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return panels + [rule["expr"] for rule in rules()]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("expr", expressions())
def test_expression_names_what_the_engine_exports(expr: str) -> None:
    """Every metric, suffix and label in panels and alerts exists in the registry."""
    samples = exported()
    labels = set(FROM_PROMETHEUS)
    for name, selector in re.findall(r"(tenminute_[a-z0-9_]+)(?:\{([^}]*)\})?", expr):
        assert name in samples
        labels |= samples[name]
        used = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", selector))
        assert used <= samples[name] | FROM_PROMETHEUS
    grouped = re.findall(r"(?:by|ignoring|on)\s*\(([^)]*)\)", expr)
    assert {label.strip() for group in grouped for label in group.split(",")} <= labels


def test_dashboard_is_what_its_builder_writes() -> None:
    """The committed dashboard is current, and its legends use labels the query keeps."""
    built = runpy.run_path(str(DEPLOY / "grafana" / "build.py"))["dashboard"]()
    assert built == (DEPLOY / "grafana" / "engine.json").read_text()


def test_every_alert_has_severity_summary_and_runbook() -> None:
    """An alert's link ends in a heading that exists, and no heading is without its alert."""
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.M)
    assert sorted(headings) == sorted(rule["alert"] for rule in rules())
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        link = rule["annotations"]["runbook_url"]
        assert link.endswith(f"docs/runbook.md#{rule['alert'].lower()}")


def test_every_alert_is_tested() -> None:
    """Each alert has a case in which it fires and one in which it does not."""
    cases = yaml.safe_load((DEPLOY / "alerts_test.yml").read_text())["tests"]
    seen = [
        (check["alertname"], bool(check["exp_alerts"]))
        for case in cases
        for check in case["alert_rule_test"]
    ]
    assert sorted(seen) == sorted((r["alert"], fires) for r in rules() for fires in (True, False))


def test_compose_runs_our_commands_with_files_that_exist() -> None:
    """The expected services are there, their commands are ours and what they mount exists."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    expected = {"kafka", "topics", "engine", "loop", "watch", "prometheus", "grafana"}
    assert set(services) == expected
    ours = {n for n, s in services.items() if s["image"] == "ten-minute-loan"}
    assert {services[name]["command"][0] for name in ours} == COMMANDS
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DEPLOY / source).exists()
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")


def test_settings_file_is_accepted() -> None:
    """deploy/tenminute.toml holds known keys with allowed values."""
    Settings.model_validate(tomllib.loads((DEPLOY / "tenminute.toml").read_text()))


def test_image_is_pinned_and_not_root() -> None:
    """Base images carry a full version and the process has no root rights."""
    text = (DEPLOY / "Containerfile").read_text()
    images = re.findall(r"^FROM (\S+)", text, re.M)
    assert images
    assert all(re.fullmatch(r"python:3\.12\.\d+-slim-\w+", image) for image in images)
    assert re.search(r"^USER 10001$", text, re.M)


@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts(command: tuple[str, ...]) -> None:
    """Rules and scrape configuration are valid and the alerts fire when they should."""
    promtool = shutil.which("promtool")
    if promtool is None and os.environ.get("CI") != "true":
        pytest.skip("promtool is missing: install Debian's package prometheus")
    assert promtool, "promtool is missing: install Debian's package prometheus"
    done = subprocess.run(
        [promtool, *command], cwd=DEPLOY, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_engine_is_not_killed_before_its_deadline() -> None:
    """The compose file waits longer than the engine may take to end."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    grace = services["engine"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > LEAVE_SECONDS_MAX
