"""The pictures of `tenminute what-if`: approvals, expected loss and scores, before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from stream.audit.swaps import ALL, Sums
from stream.domain.application import Segment
from stream.errors import ConfigError
from stream.lab.plots import ACCENT, BAD, INK, MUTED, svg
from stream.policy.model import Policy

BEFORE = "#a9b4bb"
BIN_POINTS = 5
_WIDTH = 6.4


def draw(folder: Path, sums: dict[str, Sums], policy: Policy, lgd: float) -> None:
    """Write the pictures, and no file else, into the folder."""
    shown = {name: each for name, each in sums.items() if len(sums) > 2 or name != ALL}
    pictures = {
        "approval-rate.svg": _bars(shown, "approved, of all decisions", _rate),
        "expected-loss.svg": _bars(
            shown, f"expected loss (pd x {lgd:g}), of the approved amount", _loss(lgd)
        ),
    }
    for name, each in shown.items():
        if name != ALL and each.points_before | each.points_after:
            pictures[f"scores-{name}.svg"] = _scores(name, each, policy)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in pictures.items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}", fix="name a writable folder") from None


def _rate(sums: Sums, *, after: bool) -> float:
    count = sums.after.count if after else sums.before.count
    return count / sums.decisions if sums.decisions else 0.0


def _loss(lgd: float) -> Callable[..., float]:
    def share(sums: Sums, *, after: bool) -> float:
        return (sums.after if after else sums.before).loss_share(lgd) or 0.0

    return share


def _bars(shown: dict[str, Sums], label: str, share: Callable[..., float]) -> str:
    """Two bars for each segment, their values written at their ends."""

    def plot(axes: Axes) -> None:
        names = list(reversed(shown))
        longest = 0.0
        for after, color, shift in ((False, BEFORE, 0.2), (True, ACCENT, -0.2)):
            values = [share(shown[name], after=after) for name in names]
            places = [place + shift for place in range(len(names))]
            title = "after" if after else "before"
            axes.barh(places, values, height=0.36, color=color, label=title)
            for place, value in zip(places, values, strict=True):
                axes.annotate(
                    f"{100 * value:.2f} %", (value, place), xytext=(4, 0),
                    textcoords="offset points", va="center", fontsize=10, color=INK,
                )  # fmt: skip
            longest = max(longest, *values)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlim(0, longest * 1.22 or 1)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=None))
        axes.set_xlabel(label)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)

    return svg((_WIDTH, 1.3 + 0.7 * len(shown)), plot)


def _scores(name: str, sums: Sums, policy: Policy) -> str:
    """How many have which score, before and after, and the cut-off that is asked about."""
    points = [*sums.points_before, *sums.points_after]
    low = min(points) // BIN_POINTS * BIN_POINTS
    edges = list(range(low, max(points) + 2 * BIN_POINTS, BIN_POINTS))

    def plot(axes: Axes) -> None:
        before, after = (_binned(each, edges) for each in (sums.points_before, sums.points_after))
        axes.stairs(before, edges, fill=True, color=BEFORE, label="before")
        axes.stairs(after, edges, color=ACCENT, linewidth=1.6, label="after")
        cut_off = policy.segments[Segment(name)].cut_off_points
        axes.axvline(cut_off, color=BAD, linewidth=1.2, linestyle="--", label=f"cut-off {cut_off}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlabel(f"score of {name}s, points")
        axes.set_ylabel("decisions")
        axes.tick_params(colors=MUTED)
        axes.legend(loc="upper left")

    return svg((_WIDTH, 3.4), plot)


def _binned(points: Counter[int], edges: list[int]) -> list[int]:
    counts = [0] * (len(edges) - 1)
    for value, count in points.items():
        counts[(value - edges[0]) // BIN_POINTS] += count
    return counts
