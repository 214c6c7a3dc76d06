"""The demo's page: one live page on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from stream.demo.state import DemoState, Tallied
from stream.domain.application import Channel, Segment
from stream.domain.reasons import REASONS, ReasonCode
from stream.loop.funnel import Counts

DRAW_SECONDS = 0.25
LINE_SECONDS = 3.0
REASONS_SHOWN = 6
GOOD, WARN, BAD, QUIET = "green", "yellow", "red", "dim"
STAGES = ("submitted", "decided", "approved", "paid", "within 10 min")


class Screen:
    """Draws `state` while open; call `refresh` as often as convenient, it paces itself."""

    def __init__(self, state: DemoState, console: Console | None = None) -> None:
        """Choose the live page on a terminal, plain lines elsewhere."""
        self._state = state
        self.console = console or Console()
        self._live: Live | None = None
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self._live = Live(page(state), console=self.console, auto_refresh=False)
        self._drawn_at = float("-inf")
        self._last_line = ""
        self._closed = False

    def refresh(self, *, now: bool = False) -> None:
        """Draw again if it is time to, or `now`."""
        pace = LINE_SECONDS if self._live is None else DRAW_SECONDS
        if not now and time.monotonic() - self._drawn_at < pace:
            return
        self._drawn_at = time.monotonic()
        if self._live is not None:
            self._live.update(page(self._state), refresh=True)
            return
        line = plain_line(self._state)
        if line != self._last_line:
            self._last_line = line
            self.console.print(line, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """Put one line above the page."""
        self.console.print(line, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        """Take the terminal."""
        if self._live is not None:
            self._live.start()
        self.refresh(now=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Draw the last state and give the terminal back."""
        self.close()

    def close(self) -> None:
        """Draw the last state and give the terminal back; a second time changes nothing."""
        if self._closed:
            return
        self._closed = True
        self.refresh(now=True)
        if self._live is not None:
            self._live.stop()
            self._live = None


def plain_line(state: DemoState) -> str:
    """The state in one line, for a log."""
    total = state.total
    parts = [f"{state.elapsed_seconds:6.1f} s", state.phase]
    if state.loaded < state.to_load:
        parts.append(f"loaded {state.loaded:,}/{state.to_load:,}")
    if state.sent:
        parts += [
            f"sent {state.sent:,}/{state.to_send:,}",
            f"decided {total.decided:,} ({total.approved:,} approved, {total.referred:,} referred)",
            f"{state.per_second:,.0f}/s",
            f"p50 {_ms(state.latency.quantile_ms(0.5))} p99 {_ms(state.latency.quantile_ms(0.99))}",
            f"dead letters {state.dead_letters.total():,}",
            f"duplicates {state.duplicates:,}",
            f"paid {state.paid:,}",
        ]
    return " | ".join(parts)


def page(state: DemoState) -> RenderableType:
    """The whole page; fits 100 columns by 35 lines."""
    below = Table.grid(expand=True, padding=(0, 2))
    below.add_column(ratio=12)
    below.add_column(ratio=9)
    below.add_row(_reasons(state), _funnel(state))
    parts: list[RenderableType] = [
        _header(state), Text(""), _bars(state), Text(""), _figures(state), Text(""),
        _channels(state), Text(""), below, Text(""), _dead_letters(state),
    ]  # fmt: skip
    parts += [Text(f"! {note}", WARN) for note in state.notes]
    return Group(*parts)


def _header(state: DemoState) -> RenderableType:
    grid = Table.grid(expand=True)
    grid.add_column()
    grid.add_column(justify="right")
    title = Text.assemble(("The ten-minute loan", "bold"), "  ", (state.phase, "cyan"))
    grid.add_row(title, Text(f"{state.broker}   {state.elapsed_seconds:,.0f} s", QUIET))
    return Group(grid, Rule(style=QUIET))


def _bars(state: DemoState) -> RenderableType:
    grid = Table.grid(expand=True, padding=(0, 2))
    grid.add_column(width=24)
    grid.add_column(ratio=1)
    grid.add_column(justify="right", width=22)
    rows = (
        ("Whitelist and bureau", state.loaded, state.to_load),
        ("Applications answered", state.answered, max(state.to_send, state.sent)),
    )
    for label, done, total in rows:
        bar = ProgressBar(
            total=max(1, total), completed=done, complete_style="cyan", finished_style=GOOD
        )
        grid.add_row(label, bar, f"{done:,} / {total:,}")
    return grid


def _figures(state: DemoState) -> RenderableType:
    total = state.total
    figures = (
        ("decisions/s", f"{state.per_second:,.0f}", "bold"),
        ("decided", f"{total.decided:,}", "bold"),
        ("approved", _share(total.approved, total.decided), f"bold {GOOD}"),
        ("referred", _share(total.referred, total.decided), f"bold {WARN}"),
        ("latency p50", _ms(state.latency.quantile_ms(0.5)), "bold"),
        ("latency p99", _ms(state.latency.quantile_ms(0.99)), "bold"),
        ("duplicates", f"{state.duplicates:,}", "bold"),
        ("paid", f"{state.paid:,}", "bold"),
    )
    grid = Table.grid(expand=True)
    for _ in figures:
        grid.add_column(justify="center", ratio=1)
    grid.add_row(*(Text(value, style) for _, value, style in figures))
    grid.add_row(*(Text(label, QUIET) for label, _, _ in figures))
    return grid


def _channels(state: DemoState) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1), header_style=QUIET)
    table.add_column("Channel", no_wrap=True, min_width=16)
    for label in ("sent", "decided", "approved", "referred"):
        table.add_column(label, justify="right")
    for segment in Segment:
        table.add_column(f"{segment}s approved", justify="right")
    for channel in Channel:
        cells = [state.cells.get((channel.value, segment.value), Tallied()) for segment in Segment]
        table.add_row(channel.value, *_row(state.sent_by_channel[channel.value], cells))
    segments = [
        _sum([state.cells.get((channel.value, segment.value), Tallied()) for channel in Channel])
        for segment in Segment
    ]
    table.add_row("all", *_row(state.sent, segments), style="bold")
    return table


def _row(sent: int, cells: list[Tallied]) -> list[Text]:
    total = _sum(cells)
    shares = [_cell(cell) for cell in cells]
    counts = (f"{sent:,}", f"{total.decided:,}")
    return [
        *map(Text, counts), Text(f"{total.approved:,}", GOOD), Text(f"{total.referred:,}", WARN),
        *shares,
    ]  # fmt: skip


def _sum(cells: list[Tallied]) -> Tallied:
    decided = sum(cell.decided for cell in cells)
    return Tallied(decided=decided, approved=sum(cell.approved for cell in cells))


def _cell(cell: Tallied) -> Text:
    if not cell.decided:
        return Text("–", QUIET)
    share = f"{100 * cell.approved / cell.decided:.0f} %"
    return Text.assemble(share, (f" of {cell.decided:>5,}", QUIET))


def _reasons(state: DemoState) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1), header_style=QUIET)
    table.add_column("Why referred, first reason", ratio=1, no_wrap=True)
    table.add_column("", width=8)
    table.add_column("count", justify="right", width=6)
    top = state.reasons.most_common(REASONS_SHOWN)
    most = top[0][1] if top else 1
    for code, count in top:
        bar = ProgressBar(total=most, completed=count, complete_style=WARN, finished_style=WARN)
        table.add_row(_text_of(code), bar, f"{count:,}")
    for _ in range(REASONS_SHOWN - len(top)):
        table.add_row("", "", "")
    return table


def _text_of(code: str) -> str:
    try:
        return REASONS[ReasonCode(code)].text_en
    except ValueError:
        return code


def _funnel(state: DemoState) -> RenderableType:
    counts = Counts()
    for more in state.funnel.values():
        counts = counts.plus(more)
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 1), header_style=QUIET)
    table.add_column("Funnel", width=13, no_wrap=True)
    table.add_column("", ratio=1)
    table.add_column("count", justify="right", width=7)
    for label, count in zip(STAGES, counts, strict=True):
        bar = ProgressBar(
            total=max(1, counts.submitted), completed=count,
            complete_style="cyan", finished_style="cyan",
        )  # fmt: skip
        table.add_row(label, bar, f"{count:,}")
    return table


def _dead_letters(state: DemoState) -> Text:
    line = Text.assemble(("Dead letters ", QUIET), (f"{state.dead_letters.total():,}", "bold"))
    for reason, count in state.dead_letters.most_common():
        line.append(f"   {reason} ", QUIET).append(f"{count:,}")
    return line


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _ms(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f} ms" if value < 10_000 else f"{value / 1_000:,.0f} s"
