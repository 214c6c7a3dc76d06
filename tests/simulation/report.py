"""The result of a campaign as a page of `bench/results/`."""

from __future__ import annotations

import os
import platform
from collections import Counter

from simulation.campaign import Hunt, Outcome


def page(date: str, seeds: int, outcome: Outcome, seconds: float, hunts: list[Hunt]) -> str:
    """Markdown: the verdict, what went wrong on purpose, the ways taken, the planted bugs."""
    hours = outcome.virtual_ms / 3_600_000
    failed = [f"`make simulate SEED={seed}`: {said[0]}" for seed, said in outcome.failures.items()]
    return "\n".join(
        [
            f"# {date}: deterministic simulation of the engine's loop",
            "",
            f"Command: `make simulate SEEDS={seeds}`",
            "",
            f"- **{len(outcome.failures)} of {seeds:,} seeds broke a promise**: "
            f"{seconds:.0f} s, {seeds / seconds:.0f} seeds/s, {hours:,.0f} hours of virtual time.",
            "- The real `Worker`, `Pipeline`, policy and ledger; a model that scores everyone the",
            "  same; broker, network, clock and processes are the model of `tests/simulation`.",
            f"- CPython {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}.",
            "",
            *(["## Seeds that failed", "", *failed, ""] if failed else []),
            *_table("Faults injected", _under(outcome.counts, "nemesis: ", "network: ")),
            *_table("Ways through the loop", _under(outcome.counts, "loop: ")),
            *_table("What broker and clients saw", _rest(outcome.counts)),
            "## Planted bugs",
            "",
            "| bug | first seed it shows on, counted from 0 | as |",
            "|---|---:|---|",
            *(f"| {h.name} | {'none' if h.seed is None else h.seed} | {h.broken} |" for h in hunts),
            "",
        ]
    )


def _under(counts: Counter[str], *prefixes: str) -> list[tuple[str, int]]:
    return [(name, many) for name, many in sorted(counts.items()) if name.startswith(prefixes)]


def _rest(counts: Counter[str]) -> list[tuple[str, int]]:
    told = ("nemesis: ", "network: ", "loop: ")
    return [(name, many) for name, many in sorted(counts.items()) if not name.startswith(told)]


def _table(title: str, rows: list[tuple[str, int]]) -> list[str]:
    lines = [f"| {name} | {many:,} |" for name, many in rows]
    return [f"## {title}", "", "| what | times |", "|---|---:|", *lines, ""]
