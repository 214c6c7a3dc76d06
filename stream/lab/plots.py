"""Plots of a model as SVG files that are the same bytes from the same figures."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from stream.lab.cutoff import Choice
from stream.scoring.manifest import Manifest

RELIABILITY_FILE = "calibration.svg"
INK, MUTED, GRID, ACCENT, BAD = "#1d2429", "#5d6a73", "#e2e0d8", "#34618e", "#b3392f"
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tenminute",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
}
PERCENT = PercentFormatter(xmax=1.0, decimals=None)


def svg(size_inches: tuple[float, float], draw: Callable[[Axes], None]) -> str:
    """One drawing on white, so that it reads on a dark page too; no date, no tool's name."""
    with rc_context(_STYLE):
        figure = Figure(figsize=size_inches, layout="constrained", facecolor="white")
        draw(figure.add_subplot())
        output = io.StringIO()
        figure.savefig(output, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", output.getvalue(), flags=re.DOTALL)
    text = re.sub(r"(font: [^;\"]*?px) [^;\"]*", r"\1 system-ui, sans-serif", text)
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


def reliability_svg(manifest: Manifest) -> str:
    """Share that went bad against mean pd, by tenth of the held-out rows, with its interval."""
    found = manifest.metrics.calibration
    expected = [part.expected for part in found.deciles]
    observed = [part.observed for part in found.deciles]
    below = [part.observed - part.low for part in found.deciles]
    above = [part.high - part.observed for part in found.deciles]
    edge = 1.08 * max([*expected, *(part.high for part in found.deciles)])

    def draw(axes: Axes) -> None:
        axes.plot([0, edge], [0, edge], color=MUTED, linewidth=1, linestyle="--", label="ideal")
        axes.errorbar(
            expected, observed, yerr=[below, above], fmt="o", color=ACCENT, markersize=5,
            elinewidth=1.2, label="a tenth of the held-out loans, 95 % interval",
        )  # fmt: skip
        axes.set(xlim=(0, edge), ylim=(0, edge), xlabel="mean pd", ylabel="went bad")
        axes.xaxis.set_major_formatter(PERCENT)
        axes.yaxis.set_major_formatter(PERCENT)
        axes.set_title(f"{manifest.model_id} {manifest.version}", loc="left", color=INK)
        axes.legend(loc="lower right")

    return svg((5.4, 4.6), draw)


def approval_svg(choice: Choice) -> str:
    """Bad rate by amount against the share of loans approved, with intervals and the budget."""
    approved = [step.approved for step in choice.steps]
    bad = [step.bad.value for step in choice.steps]

    def draw(axes: Axes) -> None:
        low, high = zip(*((step.bad.low, step.bad.high) for step in choice.steps), strict=True)
        axes.fill_between(approved, low, high, color=ACCENT, alpha=0.15, linewidth=0,
                          label="95 % interval, for all cut-offs together")  # fmt: skip
        axes.plot(approved, bad, color=ACCENT, marker="o", markersize=3.5, label="went bad")
        axes.plot(approved, [step.expected for step in choice.steps], color=MUTED,
                  linestyle="--", linewidth=1.2, label="pd")  # fmt: skip
        axes.axhline(choice.budget, color=BAD, linewidth=1.2, label=f"budget {choice.budget:.2%}")
        if choice.chosen is not None:
            axes.axvline(choice.chosen.approved, color=INK, linewidth=1, linestyle=":",
                         label=f"cut-off {choice.chosen.cut_off_points}")  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, None), xlabel="loans approved",
                 ylabel="bad rate by amount")  # fmt: skip
        axes.xaxis.set_major_formatter(PERCENT)
        axes.yaxis.set_major_formatter(PERCENT)
        axes.set_title(choice.segment.value, loc="left", color=INK)
        axes.legend(loc="upper left")

    return svg((5.8, 4.4), draw)
