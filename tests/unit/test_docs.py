"""What the documents name exists: files, links, verbs of the command, metrics."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from prometheus_client import CollectorRegistry

from stream.cli import app
from stream.obs.metrics import EngineMetrics

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [
        *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "bench" / "results").glob("*.md"),
    ]
)
PLACES = ("bench", "deploy", "docs", "models", "schemas", "stream", "tests")
VERBS = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
SUFFIXES = ("", "_total", "_bucket", "_sum", "_count")


def exported() -> set[str]:
    """Every sample name of the engine, with the suffixes a query may use."""
    registry = CollectorRegistry()
    EngineMetrics(registry)
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
    broken += [verb for verb in re.findall(r"\btenminute ([a-z]+)", text) if verb not in VERBS]
    broken += [name for name in re.findall(r"\btenminute_[a-z_]+\b", text) if name not in METRICS]
    assert not broken


def test_the_readme_names_every_verb() -> None:
    """The table of verbs is complete."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set() == VERBS - set(re.findall(r"^\| `tenminute ([a-z]+)` \|", readme, re.MULTILINE))
