"""The report's plots as inline SVG whose colours are CSS variables, so they follow the theme."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from stream.demo.report_data import AS_ASKED, FAMILIES, ReportData
from stream.domain.application import Segment
from stream.loop.funnel import Counts

# Colours nobody would choose stand in for the variables until the SVG is written.
INK, MUTED, APPROVE, REFER, ACCENT, GRID = (f"#0102{number:02x}" for number in range(3, 9))
VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    APPROVE: "var(--approve)",
    REFER: "var(--refer)",
    ACCENT: "var(--accent)",
    GRID: "var(--grid)",
}
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tenminute",
    "font.size": 12,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "ytick.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
}
WIDTH_INCHES = 5.4
STAGES = ("Submitted", "Decided", "Approved", "Paid", "Paid within\nten minutes")
SCORE_BINS = 40
LATENCY_BINS = 45
_COUNT = FuncFormatter(lambda value, _: f"{value:,.0f}")


def plots(data: ReportData) -> dict[str, str]:
    """The SVG of each plot by name."""
    return {
        "scores": _svg("scores", 5.8, lambda figure: _scores(figure, data)),
        "families": _svg("families", 3.9, lambda figure: _families(_axes(figure), data)),
        "latency": _svg("latency", 3.4, lambda figure: _latency(_axes(figure), data)),
        "funnel": _svg("funnel", 3.1, lambda figure: _funnel(_axes(figure), data)),
    }


def _svg(name: str, height_inches: float, draw: Callable[[Figure], None]) -> str:
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
        figure.patch.set_alpha(0)
        draw(figure)
        output = io.StringIO()
        figure.savefig(output, format="svg", transparent=True, metadata={"Date": None})
    text = output.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Ids must be unique within the page, and every plot starts with `figure_1`.
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 system-ui, sans-serif", text)
    for stand_in, variable in VARIABLES.items():
        text = text.replace(stand_in, variable)
    return re.sub(r'<svg ([^>]*?)height="[^"]*"([^>]*?)width="[^"]*"', r"<svg \1\2", text, count=1)


def _axes(figure: Figure) -> Axes:
    return figure.add_subplot()


def _scores(figure: Figure, data: ReportData) -> None:
    """One histogram per segment over the same axis, its cut-off marked."""
    groups = [*data.approved_points.values(), *data.referred_points.values()]
    points = [point for group in groups for point in group] or [0, 1]
    low, high = min(points), max(points) + 1
    edges = [low + (high - low) * step / SCORE_BINS for step in range(SCORE_BINS + 1)]
    panes = figure.subplots(len(Segment), 1, sharex=True)
    for pane, segment in zip(panes, Segment, strict=True):
        approved = data.approved_points.get(segment.value, [])
        referred = data.referred_points.get(segment.value, [])
        pane.hist(
            [approved, referred], bins=edges, stacked=True, color=[APPROVE, REFER],
            label=["approved", "referred"], rwidth=0.9,
        )  # fmt: skip
        pane.set_title(f"{segment.value.capitalize()}s", loc="left", fontsize=12)
        pane.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        pane.yaxis.set_major_formatter(_COUNT)
        pane.set_ylim(top=max(1.0, pane.get_ylim()[1]) * 1.35)
        cut_off = data.run.cut_off_points.get(segment.value)
        if cut_off is not None:
            _mark(pane, cut_off, f"cut-off {cut_off}")
    panes[0].legend(
        frameon=False, fontsize=11, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0),
        borderaxespad=0.2,
    )  # fmt: skip
    panes[-1].set_xlabel("score (points)")
    panes[len(panes) // 2].set_ylabel("applications")


def _mark(pane: Axes, at: float, label: str, height: float = 0.98) -> None:
    pane.axvline(at, color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
    pane.annotate(
        label, (at, height), xycoords=("data", "axes fraction"), xytext=(4, 0),
        textcoords="offset points", fontsize=11, va="top",
    )  # fmt: skip


def _families(axes: Axes, data: ReportData) -> None:
    """Approvals and referrals by the family of their first reason."""
    names = [AS_ASKED, *FAMILIES.values()]
    totals = {name: data.approved_families[name] + data.referred_families[name] for name in names}
    shown = sorted((name for name in names if totals[name]), key=lambda name: totals[name])
    approved = [data.approved_families[name] for name in shown]
    referred = [data.referred_families[name] for name in shown]
    axes.barh(shown, approved, color=APPROVE, label="approved", height=0.62)
    axes.barh(shown, referred, left=approved, color=REFER, label="referred", height=0.62)
    for place, name in enumerate(shown):
        _value(axes, totals[name], place, f"{totals[name]:,}")
    _plain_bars(axes, max(totals.values(), default=1))
    axes.legend(frameon=False, fontsize=11, loc="lower right")
    axes.set_xlabel("decisions, by family of the first reason")


def _latency(axes: Axes, data: ReportData) -> None:
    """Latencies on a logarithmic axis, median and 99th percentile marked."""
    latencies = data.latencies_ms or [1]
    low, high = math.log10(min(latencies)), math.log10(max(*latencies, 2))
    span = max(high - low, 0.3)
    edges = [10 ** (low + span * step / LATENCY_BINS) for step in range(LATENCY_BINS + 1)]
    axes.hist(latencies, bins=edges, color=ACCENT, rwidth=0.9)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(_COUNT)
    axes.xaxis.set_minor_formatter("")
    axes.yaxis.set_major_formatter(_COUNT)
    axes.set_ylim(top=axes.get_ylim()[1] * 1.15)
    for quantile, name, height in ((0.5, "p50", 0.99), (0.99, "p99", 0.89)):
        at = data.quantile_ms(quantile)
        _mark(axes, at, f"{name} {at:,} ms", height)
    axes.set_xlabel("ms from submitted to decided (logarithmic)")
    axes.set_ylabel("decisions")


def _funnel(axes: Axes, data: ReportData) -> None:
    """Applications that reached each stage."""
    counts = Counts()
    for more in data.funnel.values():
        counts = counts.plus(more)
    places = range(len(STAGES))
    axes.barh(STAGES, counts, color=ACCENT, height=0.62)
    for place, count in zip(places, counts, strict=True):
        share = f"{100 * count / counts.submitted:.1f} %" if counts.submitted else "–"
        _value(axes, count, place, f"{count:,} · {share}")
    axes.invert_yaxis()
    _plain_bars(axes, max(1, counts.submitted))
    axes.set_xlabel("applications · share of those submitted")


def _value(axes: Axes, at: float, place: int, label: str) -> None:
    axes.annotate(
        label, (at, place), xytext=(5, 0), textcoords="offset points", va="center", fontsize=11
    )


def _plain_bars(axes: Axes, longest: int) -> None:
    """Labelled bars need no axis of values, only room for the labels."""
    axes.grid(visible=False)
    axes.set_xlim(0, longest * 1.45)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", labelcolor=INK)
