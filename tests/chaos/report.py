"""The closing table on the terminal, and the same as a page in `bench/results/`."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median

from chaos import bars
from chaos.origin import versions
from chaos.stage import Result
from rich.table import Table

COLUMNS = ("scenario", "faults", "applications", "approved", "lost", "doubled", "mismatched",
           "recovery p50, s", "recovery max, s", "replayed", "identical", "peak RSS, MB",
           "RSS growth, MB", "aborted", "seconds", "commit", "versions")  # fmt: skip
SHOWN = {"scenario": "scenario", "faults": "faults", "applications": "appli-\ncations",
         "lost": "lost", "doubled": "dou-\nbled", "mismatched": "mis-\nmatch",
         "recovery p50, s": "p50\ns", "recovery max, s": "max\ns", "identical": "replay\nidentical",
         "peak RSS, MB": "RSS\nMB", "seconds": "time\ns"}  # fmt: skip
"""What of it fits a terminal of 80 columns, under shorter names."""
FAILURES_SHOWN = 20


def row(result: Result) -> dict[str, str]:
    """The cells of one scenario by column."""
    verdict, times = result.verdict, [t for each in result.recoveries.values() for t in each]
    cells = [
        result.name,
        f"{result.faults.done:,}",
        f"{verdict.applications:,}",
        f"{verdict.approved:,}",
        *(f"{verdict.count(kind):,}" for kind in ("lost", "doubled", "mismatched")),
        f"{median(times):.1f}" if times else "–",
        f"{max(times):.1f}" if times else "–",
        f"{result.replay.records:,}",
        f"{result.replay.identical:,}",
        f"{result.peak_mb:.0f}",
        f"{result.growth_mb:.0f}",
        f"{verdict.aborted:,}",
        f"{result.seconds:.0f}",
        result.commit,
        versions(),
    ]
    return dict(zip(COLUMNS, cells, strict=True))


def table(results: Sequence[Result], skipped: dict[str, str]) -> Table:
    """All rows, figures to the right; what failed in red."""
    shown = Table(
        title="chaos: nothing lost, doubled or mismatched?", box=None, padding=(0, 1, 0, 0)
    )
    for name, short in SHOWN.items():
        shown.add_column(short, justify="left" if name == "scenario" else "right", no_wrap=True)
    for result in results:
        cells = row(result)
        style = None if result.clean else "bold red"
        shown.add_row(*(cells[name] for name in SHOWN), style=style)
    for name in skipped:
        shown.add_row(name, "not run", style="bold yellow")
    return shown


class Page:
    """The result file, written anew after every scenario: what is broken off keeps its rows."""

    def __init__(self, folder: Path, command: str, scale: str, names: Sequence[str]) -> None:
        """Take a name that no other file of the day has, also of a run beside this one."""
        self._command, self._scale, self._names = command, scale, names
        suffix = "" if scale == "full" else f"-{scale}"
        base = folder / f"{datetime.now(UTC):%Y-%m-%d}-chaos{suffix}"
        self.path = taken(base)
        self.write([], {})

    def write(self, results: Sequence[Result], skipped: dict[str, str]) -> None:
        """All so far."""
        done = {result.name for result in results} | skipped.keys()
        waiting = [name for name in self._names if name not in done]
        lines = [
            f"# {datetime.now(UTC):%Y-%m-%d}: chaos, {self._scale}",
            "",
            f"Command: `{self._command}`",
            "",
            "| " + " | ".join(COLUMNS) + " |",
            "|---" + "|---:" * (len(COLUMNS) - 1) + "|",
            *("| " + " | ".join(row(result).values()) + " |" for result in results),
            "",
            *bars.lines([*results]),
            *(f"- **{name} was not run**: {why}." for name, why in skipped.items()),
            *([f"- **Broken off before**: {', '.join(waiting)}."] if waiting else []),
            *_notes(results),
            *_explained(),
        ]
        self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def taken(base: Path) -> Path:
    """The first free of `base`.md, `base`-2.md and so on, made at once so that no other has it."""
    for number in count(1):
        path = base.with_name(base.name + (f"-{number}" if number > 1 else "") + ".md")
        with suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path
    raise AssertionError("numbers do not end")


def _explained() -> list[str]:
    """What the columns mean, and on what they were measured."""
    return [
        "- recovery: from the crash, or from the heal where something was away, until the slowest "
        "partition had a new committed decision.",
        "- replayed: decisions made again from the audit topic, as `tenminute replay --all` does; "
        "identical: with the same bytes.",
        "- peak RSS and growth: of the worker with the most, since it was first ready, without the "
        "mapped pages of the store.",
        "- aborted: decisions that only an uncommitted reader sees, left by what was interrupted.",
        "- overtaken: faults whose recovery had not ended when the next one struck; they are not "
        "among the recoveries.",
        "- commit: what was checked out while the scenario ran; dirty: files differed from it.",
        f"- Machine: {os.cpu_count()} cores, {platform.system()}; load average "
        f"{os.getloadavg()[0]:.1f} at the end.",
    ]


def _notes(results: Sequence[Result]) -> list[str]:
    """Recovery by kind of fault where there are several, and what else happened."""
    lines = []
    for result in results:
        kinds = {kind: times for kind, times in result.recoveries.items() if kind and times}
        lines += [
            f"- {result.name}, {kind}: {len(times)} recoveries, p50 {median(times):.1f} s, "
            f"max {max(times):.1f} s."
            for kind, times in kinds.items()
        ]
        notes, faults = result.faults.notes, result.faults
        if faults.unheard:
            lines.append(
                f"- {result.name}: recovery leaves out {faults.unheard} of {faults.looked} times a "
                "partition was looked at, as it had no decision after the fault."
            )
        counted = {note: notes.count(note) for note in dict.fromkeys(notes)}
        lines += [f"- {result.name}: {note} ({count}×)." for note, count in counted.items()]
        failures = result.failures[:FAILURES_SHOWN]
        lines += [f"- **{result.name} failed**: {failure}." for failure in failures]
    return lines
