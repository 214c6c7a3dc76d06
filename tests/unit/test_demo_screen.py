"""The demo's page and closing table."""

from __future__ import annotations

import io

import msgspec
from rich.console import Console

from stream.demo.closing import closing_table
from stream.demo.reconcile import Reconciliation
from stream.demo.screen import Screen, page
from stream.demo.state import DemoState, LatencyHistogram, Tallied
from stream.domain.application import Channel, Segment

GOOD = Reconciliation(
    received=12, decided=8, decisions_doubled=0, dead_letters={"conflict": 2, "invalid": 1},
    duplicates=1, approved=5, paid=5, paid_doubled=0, paid_unapproved=0,
    decisions_committed=8, decisions_uncommitted=9,
)  # fmt: skip


def drawn(what: object, *, terminal: bool = False) -> str:
    output = io.StringIO()
    Console(file=output, width=100, force_terminal=terminal, no_color=True).print(what)
    return output.getvalue()


def full_state() -> DemoState:
    state = DemoState(phase="deciding", broker="Apache Kafka", to_load=10, loaded=10, to_send=99)
    state.notes.append("a note")
    for channel in Channel:
        for segment in Segment:
            state.cells[channel.value, segment.value] = Tallied(0, 123_456, 23_456)
    state.reasons["W_NOT_LISTED"] = 3
    return state


def test_the_page_fits_the_terminal() -> None:
    """With every part filled and large counts the page stays within 100 columns by 35 lines."""
    lines = drawn(page(full_state())).splitlines()
    assert len(lines) <= 35
    assert max(map(len, lines)) <= 100
    assert "customer_manager" in drawn(page(full_state()))


def test_without_a_terminal_there_are_plain_lines() -> None:
    """Output to a file carries no control characters and tells the phase and the counts."""
    output = io.StringIO()
    state = full_state()
    state.sent_by_channel["h5"] = 7
    with Screen(state, Console(file=output)) as screen:
        screen.refresh()
    assert "\x1b" not in output.getvalue()
    assert "deciding | sent 7/99" in output.getvalue()


def test_what_does_not_add_up_is_said() -> None:
    """Each of the three checks fails on its own fault, and only then."""
    assert GOOD.adds_up
    assert "✗" not in drawn(closing_table(GOOD))
    faults = (
        {"received": 13},
        {"decisions_doubled": 1},
        {"paid": 4},
        {"paid_doubled": 1},
        {"paid_unapproved": 1},
    )
    for fault in faults:
        bad = msgspec.structs.replace(GOOD, **fault)
        assert not bad.adds_up
        assert drawn(closing_table(bad)).count("✗") == 1
    assert msgspec.structs.replace(GOOD, paid=None).adds_up


def test_quantiles_are_close_and_bounded() -> None:
    """Quantiles lie within a bucket's width of the true value, however far out it is."""
    histogram = LatencyHistogram()
    assert histogram.quantile_ms(0.5) is None
    for latency in range(1, 1001):
        histogram.add(latency)
    assert abs((histogram.quantile_ms(0.5) or 0) - 500) < 50
    assert abs((histogram.quantile_ms(0.99) or 0) - 990) < 100
    histogram.add(1e12)
    assert histogram.quantile_ms(1.0) is not None
