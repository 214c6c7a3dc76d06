"""What the documents name exists: files, links, verbs of the command, metrics."""

from __future__ import annotations

import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from builders import HEADERS, FakeViews, under
from prometheus_client import CollectorRegistry

from stream.cli import app
from stream.config import load_settings
from stream.demo.loans import load_loans
from stream.demo.terms import Run
from stream.domain.draft import Draft
from stream.domain.instant import to_ms
from stream.domain.ledger import Ledger
from stream.edge.onnx_scorer import load_models
from stream.obs.metrics import EngineMetrics
from stream.obs.notary_metrics import NotaryMetrics
from stream.obs.watch_metrics import WatchMetrics
from stream.pipeline import Pipeline
from stream.policy.load import load_policy
from stream.ports import Record

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [
        *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "bench" / "results").glob("*.md"),
    ]
)
PLACES = ("bench", "deploy", "docs", "models", "schemas", "stream", "tests")
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
VERBS = set(COMMANDS)
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
SUFFIXES = ("", "_total", "_bucket", "_sum", "_count")


def exported() -> set[str]:
    """Every sample name of engine, notary and watch, with the suffixes a query may use."""
    registry = CollectorRegistry()
    EngineMetrics(registry)
    NotaryMetrics(registry)
    WatchMetrics(registry)
    families = {family.name for family in registry.collect()}
    return {name + suffix for name in families for suffix in SUFFIXES}


METRICS = exported()


def links(text: str) -> list[str]:
    """Relative targets of Markdown links."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target.split("#")[0] for target in targets if "://" not in target and target[0] != "#"]


def paths(text: str) -> list[str]:
    """What stands in backticks and begins with a folder of the repository."""
    words = re.findall(r"`([^`\s]+/[^`\s]*)`", text)
    return [word for word in words if word.split("/")[0] in PLACES and "<" not in word]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_names_exists(document: Path) -> None:
    """Links resolve, paths are there, verbs are the command's, metrics are exported."""
    text = document.read_text(encoding="utf-8")
    broken = [link for link in links(text) if not (document.parent / link).exists()]
    broken += [path for path in paths(text) if not (ROOT / path).exists()]
    broken += [verb for verb in re.findall(r"\btenminute ([a-z-]+)", text) if verb not in VERBS]
    broken += [name for name in re.findall(r"\btenminute_[a-z_]+\b", text) if name not in METRICS]
    assert not broken


def test_the_readme_names_every_verb() -> None:
    """The table of verbs is complete."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set() == VERBS - set(re.findall(r"^\| `tenminute ([a-z-]+)` \|", readme, re.MULTILINE))


def shown(part: Any, whole: Any) -> bool:
    """Whether a shortened document says nothing that the whole one does not."""
    if isinstance(part, dict):
        return all(key in whole and shown(value, whole[key]) for key, value in part.items())
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(shown, part, whole))
    return bool(part == whole)


def test_the_readmes_application_gets_the_readmes_decision() -> None:
    """What the first screen shows is what the pipeline answers, value for value."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    asked, answered = map(json.loads, re.findall(r"```json\n(.*?)```", readme, re.DOTALL))
    submitted_ms, now_ms = to_ms(asked["submitted_at"]), to_ms(answered["decided_at"])
    case = next(
        case
        for case in load_loans(Run(now_ms=submitted_ms))
        if case.application.application_id == asked["application_id"]
    )
    assert case.entry is not None
    assert case.bureau is not None
    settings = load_settings()
    policy = load_policy(settings.policy_file)
    models = set(policy.models)
    pipeline = Pipeline(load_models(settings.models_dir, sorted(models)), policy)
    value = msgspec.json.encode(case.application)
    record = Record(
        "loan.applications", 0, 0, asked["applicant_token"].encode(), value, HEADERS, submitted_ms
    )
    views = FakeViews(case.entry, case.bureau, fresh_at_ms=submitted_ms)
    batch = pipeline.run([record], {0: Draft(Ledger())}, under(views, now_ms))
    assert shown(asked, json.loads(value))
    assert shown(answered, msgspec.to_builtins(batch.decisions[0]))


def runs(command: str) -> bool:
    """Whether it is a target of make, a verb with its sub-verb, or a file of tests."""
    first, *rest = command.split()
    if first == "make":
        return rest[0] in TARGETS
    if first != "tenminute":
        return (ROOT / first).is_file() and not rest
    under = getattr(COMMANDS.get(rest[0]), "commands", None)
    return rest[0] in VERBS and (under is None or rest[1] in under)


def test_every_guarantee_names_what_shows_it() -> None:
    """Each promise has at least one command, and every command is there to be run."""
    text = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    tables = re.findall(
        r"^\| promise \| shown by \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE
    )
    rows = [line.strip("| ").rsplit(" | ", 1) for line in "".join(tables).splitlines()]
    shown_by = {promise: re.findall(r"`([^`]+)`", cell) for promise, cell in rows}
    yours = re.findall(r"^Your side: (.*)", text, re.MULTILINE)
    commands = [*chain(*shown_by.values()), *re.findall(r"`([^`]+)`", " ".join(yours))]
    assert len(tables) == 5
    assert [promise for promise, found in shown_by.items() if not found] == []
    assert [command for command in commands if not runs(command)] == []


def test_what_an_error_sends_to_is_in_the_runbook() -> None:
    """An error that names a part of the runbook names one that is there."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "stream").rglob("*.py")]
    named = set(re.findall(r"see the runbook, '([^']+)'", "\n".join(sources)))
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    headings = {name.lower() for name in re.findall(r"^### (.+)$", runbook, re.MULTILINE)}
    assert named
    assert named <= headings
