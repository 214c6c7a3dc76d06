"""The closing table on the terminal, and the same as a page in `bench/results/`."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import confluent_kafka
from chaos.stage import Result
from rich.table import Table

from stream import __version__
from stream.broker.jars import kafka_version

COLUMNS = ("scenario", "faults", "applications", "lost", "doubled", "mismatched",
           "recovery p50", "recovery max", "aborted", "RSS growth", "seconds")  # fmt: skip
FINDINGS_SHOWN = 20


def row(result: Result) -> list[str]:
    """The cells of one scenario."""
    verdict, times = result.verdict, result.recoveries
    return [
        result.name,
        f"{result.faults:,}",
        f"{verdict.applications:,}",
        *(f"{verdict.count(kind):,}" for kind in ("lost", "doubled", "mismatched")),
        f"{median(times):.1f} s" if times else "–",
        f"{max(times):.1f} s" if times else "–",
        f"{verdict.aborted:,}",
        f"{result.growth_mb:.0f} MB",
        f"{result.seconds:.0f}",
    ]


def table(results: Sequence[Result], skipped: dict[str, str]) -> Table:
    """All rows, figures to the right."""
    shown = Table(title="chaos: nothing lost, doubled or mismatched?")
    for name in COLUMNS:
        shown.add_column(name, justify="left" if name == "scenario" else "right", no_wrap=True)
    for result in results:
        shown.add_row(*row(result), style=None if result.clean else "bold red")
    for name, why in skipped.items():
        shown.add_row(f"{name}: NOT RUN, {why}", style="bold yellow")
    return shown


def page(
    results: Sequence[Result], skipped: dict[str, str], command: str, seed: int, scale: str
) -> str:
    """The result file."""
    lines = [
        f"# {datetime.now(UTC):%Y-%m-%d}: chaos, {scale}",
        "",
        f"Command: `{command}` (seed {seed})",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" + "|---:" * (len(COLUMNS) - 1) + "|",
        *("| " + " | ".join(row(result)) + " |" for result in results),
        "",
        *(f"- **{name} was not run**: {why}." for name, why in skipped.items()),
        *_notes(results),
        "- recovery: from the crash, or from the heal where something was away, until the slowest "
        "partition had a new committed decision.",
        "- aborted: decisions that only an uncommitted reader sees, left by what was interrupted.",
        f"- Versions: ten-minute-loan {__version__}, Kafka {kafka_version()}, confluent-kafka "
        f"{confluent_kafka.version()}, CPython {platform.python_version()}.",
        f"- Machine: {os.cpu_count()} cores, {platform.system()}, **shared** with other work; "
        f"load average {os.getloadavg()[0]:.1f} at the end.",
    ]
    return "\n".join(lines) + "\n"


def _notes(results: Sequence[Result]) -> list[str]:
    """What else happened, each kind once with its count."""
    lines = []
    for result in results:
        counted = {note: result.notes.count(note) for note in dict.fromkeys(result.notes)}
        lines += [f"- {result.name}: {note} ({count}×)." for note, count in counted.items()]
        lines += [
            f"- {result.name}: {f.kind}: {f.where}: {f.what}."
            for f in result.verdict.findings[:FINDINGS_SHOWN]
        ]
    return lines


def write(text: str, folder: Path, scale: str) -> Path:
    """Keep the page, beside earlier ones of the day."""
    base = folder / f"{datetime.now(UTC):%Y-%m-%d}-chaos{'' if scale == 'full' else '-' + scale}"
    path, number = base.with_suffix(".md"), 1
    while path.exists():
        number += 1
        path = Path(f"{base}-{number}.md")
    path.write_text(text, encoding="utf-8")
    return path
