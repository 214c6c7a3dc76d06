"""What a scenario has done to the engine, and what came of it beside the oracle's verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Faults:
    """Counted by the nemesis; `at` holds the moments recovery is timed from, by kind of fault."""

    planned: int
    done: int = 0
    at: dict[str, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What is worth knowing."""
    looked: int = 0
    """Partitions looked at after a fault, each fault anew."""
    unheard: int = 0
    """How many of these had no later decision, and so no time of recovery."""
    overtaken: int = 0
    """Faults whose recovery had not ended when the next one struck."""
    gained_mb: float = 0.0
    """Most that a worker's memory grew while its broker was away."""
    failures: list[str] = field(default_factory=list)
    """What must not happen although nothing was lost, doubled or mismatched."""

    def count(self, at: float | None = None, kind: str = "") -> None:
        """One more fault, healed or struck now."""
        self.at.setdefault(kind, []).append(time.monotonic() if at is None else at)
        self.done += 1

    def add(self, part: Faults) -> None:
        """What another has counted."""
        self.done += part.done
        self.notes += part.notes
        self.failures += part.failures
        for kind, moments in part.at.items():
            self.at.setdefault(kind, []).extend(moments)

    def progress(self) -> float:
        """From 0 to 1."""
        return min(1.0, self.done / max(1, self.planned))
