"""What a conformance kit found: one line per rule, what it means, how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.table import Table

from stream.errors import Exit

NAMED_MAX = 3
"""Ids named on the terminal; the JSON form names all."""


class Finding(NamedTuple):
    """One rule's result; `passed` is None where the rule could not be looked at, or only hints."""

    rule: str
    passed: bool | None
    detail: str
    meaning: str
    fix: str
    ids: tuple[str, ...] = ()


def some(ids: Sequence[str]) -> str:
    """The first few ids in words."""
    more = len(ids) - NAMED_MAX
    return ", ".join(ids[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def exit_of(findings: Sequence[Finding]) -> Exit:
    """FAILED when any rule is broken."""
    return Exit.FAILED if any(each.passed is False for each in findings) else Exit.OK


def as_document(findings: Sequence[Finding]) -> dict[str, Any]:
    """The same for machines."""
    passed = exit_of(findings) == Exit.OK
    return {"passed": passed, "rules": [each._asdict() for each in findings]}


def table_of(findings: Sequence[Finding]) -> Table:
    """A row for each rule; beneath a broken one, how to mend it."""
    marks = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[dim]·[/]"}
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for each in findings:
        line = f"{each.meaning}: {each.detail}" if each.meaning else each.detail
        table.add_row(marks[each.passed], each.rule, line.replace("[", r"\["))
        if each.passed is False:
            table.add_row("", "", f"[yellow]fix:[/] {each.fix}".replace(" [", r" \["))
    return table
