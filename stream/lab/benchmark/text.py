"""How the benchmark's figures are spelt: tables, signs, intervals, the goal's verdict."""

from __future__ import annotations

from collections.abc import Iterable

from stream.lab.benchmark.figures import Difference
from stream.lab.benchmark.result import GOAL


def table(head: str, rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a Markdown table; `head` has its columns between bars."""
    rows = list(rows)
    if not rows:
        return ["None."]
    cells = [part.strip() for part in head.split("|")]
    lines = [f"| {' | '.join(cells)} |", "|" + "---|" * len(cells)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def signed(value: float) -> str:
    """Four decimals with a sign, a true minus among them."""
    return f"{value:+.4f}".replace("-", "−")


def cost(found: Difference) -> str:
    """A difference with its interval."""
    return f"{signed(found.auc)} ({signed(found.low)} to {signed(found.high)})"


def standing(found: Difference) -> str:
    """Whether the constraints cost no more than the goal, and how sure that is."""
    if found.auc >= -GOAL:
        return "met"
    return "not met" if found.high < -GOAL else "not met, within the noise"
