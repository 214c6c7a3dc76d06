"""How `tenminute watch` shows what it knows: as metrics, and as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from stream.domain.application import Segment
from stream.obs.watch_metrics import BOUNDS, WatchMetrics
from stream.policy.model import Guard
from stream.watch.guard import ORDER, GuardState
from stream.watch.interval import Rate
from stream.watch.watch import Watch

_WIDTH_MIN = 120
"""The widest table; a narrower terminal wraps it, but no name is cut."""
_Labels = tuple[str, str, str]


def show_numbers(
    metrics: WatchMetrics, watch: Watch, states: Mapping[Segment, GuardState], guard: Guard
) -> None:
    """Set what hangs on outcomes; drift is shown when a window is judged."""
    metrics.unknown.set(watch.drift.unknown)
    for segment, used in watch.usage().items():
        metrics.budget_used.labels(segment.value).set(used.used_pct / 100)
        metrics.guard_state.labels(segment.value).set(ORDER.index(states[segment]))
        for (model, arm), cell in watch.arms(segment, guard.window_months).items():
            _set(metrics, (segment.value, model, arm), "count", cell.by_count())
            _set(metrics, (segment.value, model, arm), "amount", cell.by_amount())


def _set(metrics: WatchMetrics, labels: _Labels, by: str, rate: Rate) -> None:
    for bound in BOUNDS:
        metrics.bad.labels(*labels, by, bound).set(getattr(rate, bound))


def print_report(found: dict[str, Any]) -> None:
    """Three tables: the guard, vintages, drift."""
    console = Console(soft_wrap=True, highlight=False)
    console.width = max(console.width, _WIDTH_MIN)
    _print_rows(
        console,
        "Bad-rate budget",
        ("segment", "in force", "due", "used", "bad loans", "loans"),
        [
            (g["segment"], g["state"], g["due"], f"{g['used_pct']:.0f} %", f"{g['bad_loans']:,}",
             f"{g['loans']:,}")
            for g in found["guard"]
        ],
    )  # fmt: skip
    _print_rows(
        console,
        f"Vintages, as of {found['month']}",
        ("segment", "model", "arm", "month", "loans", "bad", "by count", "by amount"),
        [
            (v["segment"], v["model"], v["arm"], v["month"], f"{v['loans']:,}",
             f"{v['bad_loans']:,}", _percent(v["by_count"]), _percent(v["by_amount"]))
            for v in found["vintages"]
        ],
    )  # fmt: skip
    _print_rows(
        console,
        "Drift, last full window against the training rows",
        ("segment", "arm", "model", "windows", "series", "PSI", "unknown", "outside", "alarm"),
        [
            (d["segment"], d["arm"], d["version"], f"{d['windows']:,}", s["series"],
             f"{s['psi']:.3f}", f"{s['missing']:.1%}", f"{s['outside']:.1%}",
             ", ".join(s["alarms"]))
            for d in found["drift"]
            for s in d["series"]
        ],
    )  # fmt: skip


def _percent(rate: dict[str, float]) -> str:
    return f"{rate['share']:.2%} ({rate['low']:.2%} to {rate['high']:.2%})"


def _print_rows(
    console: Console, title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]
) -> None:
    console.print(f"[bold]{title}[/bold]")
    if not rows:
        console.print("nothing yet\n")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()
