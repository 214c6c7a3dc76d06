"""How `tenminute control` shows a command's outcome and what is in force."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from stream.domain.control import AckResult, Action, Command, Placed
from stream.ops.control import Outcome, Seen, measured
from stream.ops.tail_rows import yuan

_COLUMNS = (
    "what", "which", "since", "by", "acknowledged by", "last without", "reason", "command",
)  # fmt: skip


def rows_of(seen: Seen) -> list[dict[str, Any]]:
    """What is in force beside the policy alone, one row a switch."""
    return [
        _row(placed, seen)
        for _, placed in sorted(seen.switches.in_force.items())
        if _deviates(placed.command)
    ]


def _deviates(command: Command) -> bool:
    """Whether a command in force makes a difference to the policy alone."""
    limited = (command.approvals_max, command.amount_max_fen) != (None, None)
    tightened = bool(command.raise_points) or command.refer_all
    return command.action is Action.STOP or limited or tightened


def told(outcome: Outcome) -> dict[str, Any]:
    """The outcome for machines."""
    return {
        "expected": outcome.expected,
        "workers": sorted(outcome.workers),
        "refused": {a.worker: a.why for a in outcome.acks if a.result is not AckResult.APPLIED},
        "acknowledged_ms": outcome.acknowledged_ms,
        "last_affected_ms": outcome.last_affected_ms,
        "complete": outcome.complete,
    }


def lines(command: Command, outcome: Outcome) -> list[str]:
    """What a person wants to know of a command just given."""
    if outcome.expected == 0:
        return [f"{command.command_id}: written; no engine runs, the next to start applies it"]
    answered = f"{len(outcome.workers)} of {outcome.expected} workers have answered"
    found = [f"{command.command_id}: {answered}"]
    found += [
        f"  {ack.worker}: {ack.result.value}, {ack.why}"
        for ack in outcome.acks
        if ack.result is not AckResult.APPLIED
    ]
    if outcome.acknowledged_ms is not None:
        found.append(f"  {outcome.acknowledged_ms} ms from the command to the last worker's word")
    if outcome.last_affected_ms is not None and outcome.last_affected_ms > 0:
        found.append(f"  {outcome.last_affected_ms} ms from the command to the last decision")
    elif outcome.acknowledged_ms is not None:
        found.append("  no decision in its scope was made after the command")
    if not outcome.complete:
        found.append("  not every worker follows: see docs/runbook.md, Stop approvals now")
    return found


def _row(placed: Placed, seen: Seen) -> dict[str, Any]:
    """One command in force, as listed."""
    command = placed.command
    acks = seen.acks.get(placed.offset, [])
    return {
        "what": command.action.value,
        "scope": command.scope.value,
        "name": command.name,
        "approvals_max": command.approvals_max,
        "amount_max_fen": command.amount_max_fen,
        "raise_points": command.raise_points,
        "refer_all": command.refer_all,
        "since": command.issued_at,
        "by": command.issued_by,
        "reason": command.reason,
        "command_id": command.command_id,
        "acknowledged": sorted({a.worker for a in acks if a.result is AckResult.APPLIED}),
        "refused": {a.worker: a.why for a in acks if a.result is AckResult.REFUSED},
        "last_affected_ms": measured(command, acks, 0).last_affected_ms,
    }


def in_words(row: dict[str, Any]) -> str:
    """A command in force in one line; its id finds it again in `tenminute control list`."""
    return (
        f"{_what(row)}: {row['scope']} {row['name']}, since {row['since']} by {row['by']} "
        f"({row['command_id']}), acknowledged by {_heard(row)}"
    )


def _heard(row: dict[str, Any]) -> str:
    """Who follows the command, and who said no and why."""
    refused = [f"refused by {worker}: {why}" for worker, why in sorted(row["refused"].items())]
    return ", ".join([*row["acknowledged"], *refused]) or "nobody yet"


def print_rows(rows: list[dict[str, Any]], seen: Seen) -> None:
    """A table for people."""
    console = Console(soft_wrap=True, highlight=False)
    if not rows:
        console.print("nothing is stopped; every limit is the policy's")
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in _COLUMNS:
            table.add_column(name)
        for row in rows:
            which = f"{row['scope']} {row['name']}"
            table.add_row(
                _what(row),
                which,
                row["since"],
                row["by"],
                _heard(row),
                _last(row["last_affected_ms"]),
                row["reason"],
                row["command_id"],
            )
        console.print(table)
    if seen.refused:
        offsets = ", ".join(map(str, sorted(seen.refused)))
        console.print(f"{len(seen.refused)} records were refused, at offsets {offsets}")


def _last(last_affected_ms: int | None) -> str:
    """The last decision made without the command, seen from its issue."""
    if last_affected_ms is None:
        return "none known"
    return f"{last_affected_ms} ms after" if last_affected_ms > 0 else "before it"


def _what(row: dict[str, Any]) -> str:
    if row["what"] == Action.STOP.value:
        return "stop"
    if row["what"] == Action.TIGHTEN.value:
        return "refer all" if row["refer_all"] else f"cut-off {row['raise_points']} points higher"
    parts = []
    if row["approvals_max"] is not None:
        parts.append(f"at most {row['approvals_max']:,} approvals")
    if row["amount_max_fen"] is not None:
        parts.append(f"at most {yuan(row['amount_max_fen'])}")
    return ", ".join(parts)
