"""The closing table: what came in, what went out, and whether it adds up."""

from __future__ import annotations

from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from stream.demo.reconcile import Reconciliation


class Line(NamedTuple):
    """One line: what is counted, how many, and `holds` where the line is a check."""

    label: str
    records: str
    remark: str = ""
    holds: bool | None = None


def closing_lines(found: Reconciliation) -> list[Line]:
    """The lines of the table, for the terminal and the report alike."""
    answered = found.decided + found.dead_lettered + found.duplicates
    by_reason = ", ".join(f"{reason} {count:,}" for reason, count in found.dead_letters.items())
    return [
        Line("Applications received", f"{found.received:,}"),
        Line("  decided", f"{found.decided:,}"),
        Line("  dead letters", f"{found.dead_lettered:,}", by_reason),
        Line("  duplicates answered once", f"{found.duplicates:,}"),
        Line(
            "Received = decided + dead letters + duplicates",
            f"{found.received:,} = {answered:,}",
            holds=found.all_answered,
        ),
        Line(
            "Exactly one decision each",
            f"{found.decisions_doubled:,} doubled",
            holds=found.decided_once,
        ),
        _paid(found),
        Line(
            "Decisions, committed / all records",
            f"{found.decisions_committed:,} / {found.decisions_uncommitted:,}",
            _aborted(found),
        ),
    ]


def closing_table(found: Reconciliation) -> Table:
    """The table for a terminal."""
    title = "It adds up" if found.adds_up else "It does not add up"
    table = Table(title=title, title_style="bold", title_justify="left", box=None, padding=(0, 1))
    table.add_column("", width=1)
    table.add_column("Closing count")
    table.add_column("Records", justify="right")
    table.add_column("", style="dim")
    for line in closing_lines(found):
        style = "bold" if line.holds is not None else ""
        table.add_row(_mark(line.holds), Text(line.label, style), line.records, line.remark)
    return table


def _mark(holds: bool | None) -> Text:
    if holds is None:
        return Text("")
    return Text("✓", "bold green") if holds else Text("✗", "bold red")


def _paid(found: Reconciliation) -> Line:
    if found.paid is None:
        return Line("Paid", "not run", "the mock broker carries no disbursement consumer")
    remarks = []
    if found.paid_doubled:
        remarks.append(f"{found.paid_doubled:,} paid twice")
    if found.paid_unapproved:
        remarks.append(f"{found.paid_unapproved:,} paid without approval")
    count = f"{found.paid:,} = {found.approved:,}"
    return Line("Paid = approvals", count, ", ".join(remarks), found.paid_is_approved)


def _aborted(found: Reconciliation) -> str:
    aborted = found.decisions_uncommitted - found.decisions_committed
    return f"{aborted:,} aborted" if aborted else "no transaction was aborted"
