"""The replay in three pictures, the same bytes from the same figures."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from stream.domain.instant import to_ms
from stream.lab.history.arm import Look
from stream.lab.history.figures import Pair, approves, turned_away
from stream.lab.history.loans import HORIZON_MONTHS
from stream.lab.history.model import SEGMENT
from stream.lab.history.run import Replayed
from stream.lab.plots import ACCENT, BAD, GRID, INK, MUTED, PERCENT, svg
from stream.watch.drift import POINTS
from stream.watch.guard import GuardState
from stream.watch.interval import Rate, rate_by_count
from stream.watch.vintage import month_of

RECESSIONS = ((2001 + 2 / 12, 2001 + 11 / 12), (2007 + 11 / 12, 2009 + 6 / 12))
"""March to November 2001, December 2007 to June 2009 (National Bureau of Economic Research)."""
QUARTER = 3
_SHADES = {GuardState.TIGHTENED: ("#f3d9a4", "guard: cut-off raised"),
           GuardState.REFER_ALL: ("#e7b3ad", "guard: all referred")}  # fmt: skip
_SIZE = (8.2, 4.2)


class Quarter(NamedTuple):
    """The approvals of a quarter without a guard: its middle in years, pd, what went bad."""

    at: float
    expected: float
    observed: Rate


def pictures(replayed: Replayed) -> dict[str, str]:
    """SVG texts by file name."""
    return {
        "history-guard.svg": guard_svg(replayed),
        "history-drift.svg": drift_svg(replayed),
        "history-saved.svg": saved_svg(replayed.pair),
    }


def quarters(pair: Pair) -> list[Quarter]:
    """The vintages of the arm without a guard, three months each."""
    expected: dict[int, list[float]] = {}
    for decision in pair.off.decisions:
        if approves(decision) and decision.pd is not None:
            key = month_of(to_ms(decision.decided_at)) // QUARTER
            expected.setdefault(key, []).append(decision.pd)
    loans, bad = dict.fromkeys(expected, 0), dict.fromkeys(expected, 0)
    for cohort, cell in pair.off.vintages.of(SEGMENT.value):
        key = cohort.month // QUARTER
        loans[key] += cell.loans
        bad[key] += sum(part.loans for age, part in cell.bad.items() if age < HORIZON_MONTHS)
    return [
        Quarter(
            (key + 0.5) * QUARTER / 12, float(np.mean(pds)), rate_by_count(bad[key], loans[key])
        )
        for key, pds in sorted(expected.items())
    ]


def guard_svg(replayed: Replayed) -> str:
    """Bad rate by vintage, with pd, and the guard's state over the same months."""
    found = quarters(replayed.pair)
    at = [each.at for each in found]

    def draw(axes: Axes) -> None:
        _shade(axes, replayed.pair.on.looks)
        share = [each.observed.share for each in found]
        low, high = ([getattr(each.observed, end) for each in found] for end in ("low", "high"))
        axes.fill_between(at, low, high, color=ACCENT, alpha=0.18, linewidth=0)
        axes.plot(at, share, color=ACCENT, marker="o", markersize=3.5,
                  label=f"went bad within {HORIZON_MONTHS} months, 95 % interval")  # fmt: skip
        axes.plot(at, [each.expected for each in found], color=INK, linestyle="--",
                  linewidth=1.2, label="pd")  # fmt: skip
        axes.yaxis.set_major_formatter(PERCENT)
        axes.set(ylim=(0, None), ylabel="approved without a guard", xlabel="quarter of approval")
        _recessions(axes)
        axes.set_title("Vintages as they turned out, and the guard's state", loc="left", color=INK)
        axes.legend(loc="upper left", fontsize=9)

    return svg(_SIZE, draw)


def drift_svg(replayed: Replayed) -> str:
    """PSI of the points and of each feature by year, on a logarithmic scale."""
    years = replayed.history.years
    at = [year.year for year in years]

    def draw(axes: Axes) -> None:
        for number, series in enumerate(name for name in years[0].drift.psi if name != POINTS):
            axes.plot(at, [year.drift.psi[series] for year in years], linewidth=1.2,
                      marker="osD^vP"[number % 6], markersize=4, color=_tone(number),
                      label=series)  # fmt: skip
        axes.plot(at, [year.drift.psi[POINTS] for year in years], color=INK, linewidth=2.4,
                  label=POINTS)  # fmt: skip
        axes.axhline(0.25, color=BAD, linewidth=1, linestyle=":", label="0.25, a large shift")
        axes.set_yscale("log")
        axes.set(ylim=(0.001, None), xticks=at, ylabel="PSI against the loans learned from")
        axes.set_title("Drift of each year's listed applications", loc="left", color=INK)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)

    return svg((9.4, 4.2), draw)


def saved_svg(pair: Pair) -> str:
    """Money of the loans that only the guard refers, added up by the day they were asked."""
    at, good, bad, lost = [], [0.0], [0.0], [0.0]
    for case, decision in turned_away(pair):
        at.append(month_of(case.loan.approved_ms) / 12)
        millions = decision.approved_amount_fen / 1e8
        is_bad = case.loan.bad_ms is not None
        good.append(good[-1] + (0.0 if is_bad else millions))
        bad.append(bad[-1] + (millions if is_bad else 0.0))
        lost.append(lost[-1] + millions * case.loan.loss_share)
    ends = [pair.on.looks[0].month / 12, pair.on.looks[-1].month / 12 + 1 / 12]

    def draw(axes: Axes) -> None:
        _shade(axes, pair.on.looks)
        times = [ends[0], *at, ends[1]]
        for sums, colour, label in (
            (good, MUTED, "good loans turned away"),
            (bad, ACCENT, "bad loans not made"),
            (lost, BAD, "of these, charged off"),
        ):
            axes.step(times, [*sums, sums[-1]], where="post", color=colour, linewidth=1.8,
                      label=label)  # fmt: skip
        axes.set(ylim=(0, None), ylabel="million dollars, added up", xlabel="day of asking")
        _recessions(axes)
        axes.set_title("What the guard turned away", loc="left", color=INK)
        axes.legend(loc="upper left", fontsize=9)

    return svg(_SIZE, draw)


def _tone(number: int) -> str:
    return ("#34618e", "#8f5b9c", "#2f8f83", "#b0792a", "#7d8b3a", "#5d6a73")[number % 6]


def _shade(axes: Axes, looks: tuple[Look, ...]) -> None:
    """A band behind the months in which the guard held something."""
    named = set()
    for state, run in groupby(looks, key=lambda look: look.state):
        months = [look.month for look in run]
        if state is GuardState.NORMAL:
            continue
        colour, label = _SHADES[state]
        axes.axvspan(months[0] / 12, (months[-1] + 1) / 12, color=colour, linewidth=0, zorder=0,
                     label=None if state in named else label)  # fmt: skip
        named.add(state)


def _recessions(axes: Axes) -> None:
    """A bar on the time axis for each recession."""
    for number, (start, end) in enumerate(RECESSIONS):
        axes.axvspan(start, end, ymin=0, ymax=0.025, color=INK, linewidth=0,
                     label=None if number else "recession")  # fmt: skip
    axes.grid(visible=True, axis="y", color=GRID)
