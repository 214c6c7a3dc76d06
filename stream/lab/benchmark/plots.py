"""The benchmark as three small SVG files, drawn from the results alone."""

from __future__ import annotations

import io
import math
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from stream.lab.benchmark.result import GOAL, Outcome, Split
from stream.lab.benchmark.trial import FAMILY, SCORECARD, UNCONSTRAINED

INK, QUIET, GRID = "#1f2933", "#7b8794", "#e4e7eb"
COLOURS = {FAMILY: "#0b6e99", UNCONSTRAINED: "#d97706", SCORECARD: "#7b8794"}
NAMES = {FAMILY: "family-constrained", UNCONSTRAINED: "unconstrained", SCORECARD: "WoE scorecard"}
WIDTH = 8.0
ROW = 0.46
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "benchmark",
}


def _bare(axes: Any) -> None:  # noqa: ANN401
    """Only what carries a number is drawn."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    axes.set_axisbelow(True)


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _by_set(outcomes: list[Outcome]) -> tuple[Figure, Any]:
    """A figure with one line for each set, the first on top."""
    figure = Figure(figsize=(WIDTH, 1.1 + ROW * len(outcomes)), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(outcomes)), [outcome.title for outcome in outcomes])
    axes.set_ylim(len(outcomes) - 0.4, -0.6)
    axes.grid(axis="x", color=GRID)
    _bare(axes)
    return figure, axes


def _aucs(outcomes: list[Outcome]) -> Figure:
    figure, axes = _by_set(outcomes)
    for place, (name, label) in enumerate(NAMES.items()):
        rows = [row + (place - 1) * 0.2 for row in range(len(outcomes))]
        found = [outcome.splits[0].models[name] for outcome in outcomes]
        reach = [[f.auc - f.auc_low for f in found], [f.auc_high - f.auc for f in found]]
        axes.errorbar(
            [f.auc for f in found],
            rows,
            xerr=reach,
            fmt="o",
            markersize=4.5,
            color=COLOURS[name],
            elinewidth=1.2,
            label=label,
        )
    shown = [(p.auc, row) for row, outcome in enumerate(outcomes) for p in outcome.published]
    if shown:
        axes.scatter(*zip(*shown, strict=True), marker="D", s=34, facecolor="none", edgecolor=INK,
                     linewidth=1.0, label="published", zorder=3)  # fmt: skip
    axes.set_xlabel("AUC on rows the model never saw, 95 % interval")
    handles, labels = axes.get_legend_handles_labels()
    ours_first = sorted(zip(handles, labels, strict=True), key=lambda pair: pair[1] == "published")
    figure.legend(
        *zip(*ours_first, strict=True), loc="outside upper center", ncols=4, frameon=False
    )
    return figure


def _costs(outcomes: list[Outcome]) -> Figure:
    figure, axes = _by_set(outcomes)
    axes.axvspan(-GOAL, 0, color="#dcefe6", zorder=0)
    axes.axvline(0, color=INK, linewidth=0.8)
    markers = (("random", "o", -0.12, "random split"), ("time", "s", 0.12, "out of time"))
    for kind, marker, shift, label in markers:
        found: list[tuple[int, Split]] = [
            (row, split)
            for row, outcome in enumerate(outcomes)
            for split in outcome.splits
            if split.kind == kind
        ]
        if not found:
            continue
        costs = [split.cost for _, split in found]
        axes.errorbar(
            [cost.auc for cost in costs],
            [row + shift for row, _ in found],
            xerr=[[c.auc - c.low for c in costs], [c.high - c.auc for c in costs]],
            fmt=marker,
            markersize=4.5,
            color=COLOURS[FAMILY] if kind == "random" else COLOURS[UNCONSTRAINED],
            elinewidth=1.2,
            label=label,
        )
    axes.set_xlabel(
        f"AUC of family-constrained minus unconstrained, 95 % interval; green: goal of {GOAL}"
    )
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def _reliability(outcomes: list[Outcome]) -> Figure:
    columns = min(4, len(outcomes))
    lines = math.ceil(len(outcomes) / columns)
    figure = Figure(figsize=(WIDTH, 0.6 + 2.0 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, outcome in zip(grid, outcomes, strict=False):
        models = outcome.splits[0].models
        top = 1.08 * max(max(pair) for m in models.values() for pair in m.reliability)
        axes.plot([0, top], [0, top], color=QUIET, linewidth=0.8, linestyle=":")
        for name in (SCORECARD, UNCONSTRAINED, FAMILY):
            expected, seen = zip(*models[name].reliability, strict=True)
            axes.plot(expected, seen, "o-", color=COLOURS[name], markersize=2.8, linewidth=1.0)
        axes.set(xlim=(0, top), ylim=(0, top), aspect="equal")
        axes.set_title(outcome.title, fontsize=8)
        axes.locator_params(nbins=4)
        axes.tick_params(labelsize=7)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.grid(color=GRID)
        _bare(axes)
    for axes in grid[len(outcomes) :]:
        axes.set_axis_off()
    figure.supxlabel("expected share of bad", fontsize=9)
    figure.supylabel("observed share of bad", fontsize=9)
    handles = [
        mpl.lines.Line2D([], [], color=COLOURS[name], marker="o", markersize=4, label=label)
        for name, label in NAMES.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return figure


def draw(outcomes: list[Outcome]) -> dict[str, bytes]:
    """File name to SVG; the same results give the same bytes."""
    with mpl.rc_context(STYLE):
        return {
            "benchmark-auc.svg": _svg(_aucs(outcomes)),
            "benchmark-cost.svg": _svg(_costs(outcomes)),
            "benchmark-reliability.svg": _svg(_reliability(outcomes)),
        }
