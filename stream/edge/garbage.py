"""How often Python looks for garbage cycles in a process that decides.

The path of an application makes no cycles; what it drops is freed at once. At
Python's own setting the collector passes over a batch's records dozens of times
while they are alive, a quarter of a decision's cost, and finds nothing.
"""

from __future__ import annotations

import gc

YOUNG_MAX, MIDDLE_MAX, OLD_MAX = 50_000, 20, 100
"""Containers that live before the youngest are looked through, some batches' worth; then how
often those passes are before the next older are. A cycle waits for its end, a few MB at most."""


def settle_down() -> None:
    """Once all is loaded: what is there stays, and what comes is looked through seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, MIDDLE_MAX, OLD_MAX)
