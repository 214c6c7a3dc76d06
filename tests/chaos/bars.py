"""How soon each scenario is to have recovered, and whether it did.

The seconds are the project's own goals, set before anything was measured. They count until the
slowest partition has a new committed decision, which is stricter than the first decision anywhere.
"""

from __future__ import annotations

from typing import NamedTuple

from chaos.stage import Result

from stream.limits import SESSION_TIMEOUT_MS


class Bar(NamedTuple):
    """At most so many seconds, and from when; None where no time was set as a goal."""

    seconds: float | None
    what: str


_KILLED = Bar(SESSION_TIMEOUT_MS / 1000 + 5, "from the kill: session time-out and 5 s")
BARS = {
    "kill100": _KILLED,
    "crashpoints": Bar(5, "from the crash"),
    "zombies": Bar(None, "none set"),
    "joins": Bar(10, "from the leave"),
    "broker_kill": Bar(15, "from the broker's readiness"),
    "outage70": Bar(30, "from the broker's readiness"),
    "late_broker": Bar(30, "from the broker's readiness"),
    "storm": _KILLED,
    "backlog": Bar(None, "none set"),
    "three_brokers": Bar(20, "from the kill"),
    "rolling": Bar(30, "from the stop; set for the 99th percentile of latency"),
    "min_isr": Bar(None, "none set"),
    "disk_full": Bar(None, "none set"),
    "clock_jumps": Bar(None, "none set"),
    "mixed": Bar(None, "none set"),
}


def verdict(result: Result) -> str:
    """Met, missed by how many recoveries, or why neither can be said."""
    seconds = BARS[result.name].seconds
    times = [t for each in result.recoveries.values() for t in each]
    if seconds is None:
        return "–"
    if not times:
        return "not measured"
    late = sum(time > seconds for time in times)
    return (
        f"**missed** by {late} of {len(times)}" if late else f"met by {len(times)} of {len(times)}"
    )


def lines(results: list[Result]) -> list[str]:
    """A table of the page: bar against measured."""
    head = ["| scenario | recovery at most, s | measured max, s | bar | overtaken |",
            "|---|---|---:|---|---:|"]  # fmt: skip
    rows = []
    for result in results:
        bar, times = BARS[result.name], [t for each in result.recoveries.values() for t in each]
        goal = bar.what if bar.seconds is None else f"{bar.seconds:.0f} {bar.what}"
        most = f"{max(times):.1f}" if times else "–"
        rows.append(
            f"| {result.name} | {goal} | {most} | {verdict(result)} | {result.faults.overtaken} |"
        )
    return [*head, *rows, ""]
