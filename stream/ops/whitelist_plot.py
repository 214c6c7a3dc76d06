"""Limits and grades of the whitelist by segment, as one SVG."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from stream.lab.plots import ACCENT, BAD, INK, MUTED, svg

_COLOURS = (ACCENT, MUTED, BAD)


def whitelist_svg(found: dict[str, Any]) -> str:
    """Share of each segment's offers by class of limit; grades stand in the legend."""
    edges = [edge / 1_000_000 for edge in found["limit_steps_fen"]]
    labels = [f"≤ {edge:g}" for edge in edges] + [f"> {edges[-1]:g}"]

    def draw(axes: Axes) -> None:
        segments = sorted(found["limits"])
        width = 0.8 / max(1, len(segments))
        for place, segment in enumerate(segments):
            counts, grades = found["limits"][segment], found["grades"][segment]
            total = sum(counts)
            said = ", ".join(f"{name} {count / total:.0%}" for name, count in grades.items())
            axes.bar(
                [index + (place - (len(segments) - 1) / 2) * width for index in range(len(labels))],
                [count / total for count in counts],
                width,
                color=_COLOURS[place % len(_COLOURS)],
                label=f"{segment}: grade {said}",
            )
        axes.set_xticks(range(len(labels)), labels)
        axes.set(xlabel="limit, 10,000 yuan", ylabel="share of the segment's offers")
        axes.set_title("Standing offers", loc="left", color=INK)
        if segments:
            axes.legend(loc="best")

    return svg((6.4, 4.2), draw)
