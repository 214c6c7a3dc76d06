"""Where a run's results go: one JSON that keeps every set's last run, and what is drawn from it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from stream.errors import ConfigError
from stream.lab.benchmark.plots import draw
from stream.lab.benchmark.report import page, section
from stream.lab.benchmark.result import Outcome, Shipped
from stream.lab.benchmark.sets import BENCHES
from stream.lab.recipe import RECIPES

Kind = TypeVar("Kind", Outcome, Shipped)
BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
TITLE = "# Models\n"
HEADING = "## Benchmark on public credit data"


def _kept(path: Path, kind: type[Kind]) -> list[Kind]:
    """The entries of an earlier run of the same day."""
    if not path.is_file():
        return []
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[kind])  # type: ignore[valid-type]
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"{path}: not a benchmark's results ({error})", fix="move the file away and run again"
        ) from error


def _encoded(entries: list[Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(entries), indent=1) + b"\n"


def with_section(document: str, body: str) -> str:
    """The document with the benchmark between its marks, at the end if it had none."""
    block = f"{BEGIN}\n{HEADING}\n\n{body}\n{END}"
    if BEGIN in document and END in document:
        before, rest = document.split(BEGIN, 1)
        return before + block + rest.split(END, 1)[1]
    return f"{document or TITLE}\n{block}\n"


def _document(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def write(
    outcomes: list[Outcome], recipes: list[Shipped], out: Path, docs: Path, on: date
) -> list[Path]:
    """Results and page under `out`, section and plots under `docs`; the files written."""
    stem = f"{on.isoformat()}-models"
    results, shipped = out / f"{stem}.json", out / f"{stem}-shipped.json"
    sets = {e.name: e for e in (*_kept(results, Outcome), *outcomes)}
    ours = {e.model_id: e for e in (*_kept(shipped, Shipped), *recipes)}
    ordered = [sets[name] for name in BENCHES if name in sets]
    trained = [ours[name] for name in RECIPES if name in ours]
    models = docs / "models.md"
    body = section(ordered, trained, f"{stem}.md")
    files = {
        results: _encoded(ordered),
        shipped: _encoded(trained),
        out / f"{stem}.md": page(ordered, trained, on).encode(),
        models: with_section(_document(models), body).encode(),
    }
    if ordered:
        files |= {docs / "images" / name: svg for name, svg in draw(ordered).items()}
    for path, raw in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    return list(files)
