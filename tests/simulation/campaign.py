"""Many seeds over all cores, and what they add up to."""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import NamedTuple

from simulation.engine import pipeline
from simulation.planted import PLANTED
from simulation.world import Simulation

CHUNK = 25
PLANTED_SEEDS = 1_000
"""Within this many seeds each planted bug has to be found."""


class Outcome(NamedTuple):
    """What one chunk of seeds, or all of them, came to."""

    failures: dict[int, list[str]]
    counts: Counter[str]
    virtual_ms: int


class Hunt(NamedTuple):
    """The first seed on which a planted bug broke a promise, and which one."""

    name: str
    seed: int | None
    broken: str


def run_seeds(seeds: Sequence[int]) -> Outcome:
    """Run them one after the other."""
    failures, counts, virtual_ms = {}, Counter[str](), 0
    for seed in seeds:
        simulation = Simulation(seed)
        broken = simulation.run()
        if broken:
            failures[seed] = broken
        counts += simulation.kernel.counts
        virtual_ms += simulation.kernel.now_ms
    return Outcome(failures, counts, virtual_ms)


def hunt(name: str, seeds: Sequence[int]) -> Hunt:
    """Look for a planted bug until it shows."""
    for seed in seeds:
        broken = Simulation(seed, PLANTED[name]).run()
        if broken:
            return Hunt(name, seed, broken[0])
    return Hunt(name, None, "")


def campaign(first: int, seeds: int, tick: Callable[[int], None]) -> tuple[Outcome, float]:
    """All seeds over all cores; also the seconds it took. `tick` hears of progress."""
    began = time.monotonic()
    failures, counts, virtual_ms = {}, Counter[str](), 0
    with _pool() as pool:
        chunks = [pool.submit(run_seeds, chunk) for chunk in _chunks(first, seeds)]
        for done in as_completed(chunks):
            outcome = done.result()
            failures |= outcome.failures
            counts += outcome.counts
            virtual_ms += outcome.virtual_ms
            tick(CHUNK)
    total = Outcome(dict(sorted(failures.items())), counts, virtual_ms)
    return total, time.monotonic() - began


def hunts() -> list[Hunt]:
    """Each planted bug over the same seeds, the first of which it has to show on."""
    with _pool() as pool:
        jobs = [pool.submit(hunt, name, range(PLANTED_SEEDS)) for name in PLANTED]
        return [job.result() for job in jobs]


def ready() -> None:
    """Make this process one that runs seeds and nothing else, before its first seed.

    The models are read once. A run leaves its objects behind in a few large
    cycles; looking for them after every 700 objects costs an eighth of the time.
    """
    pipeline()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(max_workers=os.cpu_count(), initializer=ready)


def _chunks(first: int, seeds: int) -> Iterator[range]:
    for start in range(first, first + seeds, CHUNK):
        yield range(start, min(start + CHUNK, first + seeds))
