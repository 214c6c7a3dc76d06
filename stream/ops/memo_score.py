"""The score in a credit memo: points against the cut-off, and what each family did."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stream.domain.decision import Audit, Contribution
from stream.domain.reasons import REASONS, ReasonCode
from stream.ops.memo_words import words

BAR_CELLS = 16
"""Cells of a bar on either side of the axis."""

GAUGE_CELLS = 60
GAUGE_POINTS_MIN = 100
"""The gauge shows at least this many points on either side of the cut-off."""


def score_part(audit: Audit) -> RenderableType:
    """Points, cut-off and pd, then one signed bar for each family; or why there is no score."""
    decision = audit.decision
    points, pd = decision.score_points, decision.pd
    if points is None or pd is None:
        return Text("none: the path ended before the model", style="dim")
    line = Text(f"{points} points", style="bold")
    cut_off = cut_off_of(audit)
    if cut_off is not None:
        above = points - cut_off
        side = f"{abs(above)} {'above' if above > 0 else 'below'}" if above else "exactly at"
        line.append(f", {side} the cut-off of {cut_off}", style="not bold")
    line.append(f" · pd {pd:.2%}", style="not bold")
    if decision.band:
        line.append(f" · band {words(decision.band)}", style="not bold")
    parts: list[RenderableType] = [line]
    if cut_off is not None:
        parts.append(_gauge(points, cut_off))
    if audit.contributions:
        parts += [Text(), _families(audit.contributions), _sum(audit)]
    return Group(*parts)


def cut_off_of(audit: Audit) -> int | None:
    """The cut-off the model rule compared with, from its line in the trail."""
    for hit in audit.rules:
        edge = hit.values.get("cut_off_points")
        if isinstance(edge, int):
            return edge
    return None


def _gauge(points: int, cut_off: int) -> Text:
    """A line of points with the cut-off in the middle: refer to its left, approve to its right."""
    reach = max(GAUGE_POINTS_MIN, abs(points - cut_off) * 5 // 4)
    middle = GAUGE_CELLS // 2
    at = middle + round((points - cut_off) / reach * middle)
    line = Text(f"{cut_off - reach:>4} ", style="dim")
    for cell in range(GAUGE_CELLS + 1):
        mark = "●" if cell == at else "┃" if cell == middle else "━"
        colour = "red" if cell < middle else "green"
        line.append(mark, style=f"not dim bold {colour}" if cell == at else f"not dim {colour}")
    line.append(f" {cut_off + reach}")
    return line


def _families(contributions: tuple[Contribution, ...]) -> Table:
    """Families from the most harmful to the most helpful."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, max_width=30, overflow="ellipsis")
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True)
    left, right = "◀ safer".rjust(BAR_CELLS), "riskier ▶".ljust(BAR_CELLS)
    head = Text("against the average approval", style="dim")
    axis = Text.assemble((left, "green"), ("┬", "dim"), (right, "red"))
    table.add_row(head, Text("log-odds", style="dim"), axis)
    longest = max(abs(each.centred) for each in contributions) or 1.0
    for each in sorted(contributions, key=lambda each: (-each.centred, each.family)):
        amount = f"{each.centred:+.2f}".replace("-", "−")
        table.add_row(_label(each.family), amount, _bar(each.centred / longest))
    return table


def _bar(share: float) -> Text:
    """A signed bar in half cells around the axis; a share of 1 fills its side."""
    halves = round(abs(share) * BAR_CELLS * 2)
    full, half = divmod(halves, 2)
    if share > 0:
        bar = "█" * full + "▌" * half
        return Text.assemble(" " * BAR_CELLS, ("│", "dim"), (bar, "red"))
    bar = ("▐" * half + "█" * full).rjust(BAR_CELLS)
    return Text.assemble((bar, "green"), ("│", "dim"))


def _label(family: str) -> str:
    try:
        return REASONS[ReasonCode(family)].text_en
    except ValueError:
        return family


def _sum(audit: Audit) -> Text:
    """How the families and the base make up the log-odds the pd stands for."""
    if audit.log_odds is None:
        return Text()
    families = sum(each.log_odds for each in audit.contributions)
    base = audit.log_odds - families
    text = f"base {base:+.2f} with families {families:+.2f} = {audit.log_odds:+.2f} log-odds of bad"
    return Text(text.replace("-", "−").replace("log−odds", "log-odds"), style="dim")
