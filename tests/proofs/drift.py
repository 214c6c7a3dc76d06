"""False alarms of the watch on real loans, and planted drift: python -m proofs.drift.

The loans of a model's training are cut in two by chance, anew for each trial: one half
is the reference, of the other the watch hears 1,000 events at a time, as audit records.
Without drift a window alarms by chance; with a planted change it must alarm soon.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from watch_records import scored

from proofs.cases import DATA, MODELS
from stream.domain.application import Segment
from stream.lab.data import load_source
from stream.lab.recipe import RECIPES
from stream.lab.reference import reference
from stream.scoring.features import MISSING
from stream.scoring.scorecard import log_odds_of_bad, to_points
from stream.watch.drift import DriftTerms, DriftWatch

TERMS = DriftTerms()
WINDOWS = 2
"""Judged at most in a trial: the half of the farmers' rows has no more."""

Rows = npt.NDArray[np.float32]


class Live(NamedTuple):
    """What the watch hears: feature rows by name, and points."""

    rows: Rows
    points: npt.NDArray[np.int64]
    names: tuple[str, ...]


def _column(live: Live, name: str, change: Callable[[Rows], Rows]) -> Live:
    rows = live.rows.copy()
    rows[:, live.names.index(name)] = change(rows[:, live.names.index(name)])
    return live._replace(rows=rows)


def _lost(column: Rows) -> Rows:
    """Unknown in every twelfth case."""
    found = column.copy()
    found[::12] = MISSING
    return found


CHANGES: dict[str, Callable[[Live], Live]] = {
    "none": lambda live: live,
    "points 6 lower": lambda live: live._replace(points=live.points - 6),
    "amounts half as large again": lambda live: _column(
        live, "requested_amount_fen", lambda column: column * 1.5
    ),
    "amounts in yuan for fen": lambda live: _column(
        live, "requested_amount_fen", lambda column: column / 100
    ),
    "a field unknown in every twelfth case": lambda live: _column(live, live.names[-1], _lost),
}


class Halves:
    """The loans of a model, with the points it gives them."""

    def __init__(self, segment: Segment) -> None:
        self._scorer = MODELS[segment.value]
        self.names = RECIPES[segment.value].names
        self.rows = load_source(DATA, segment).loans.matrix(self.names)
        scaling = self._scorer.manifest.scaling
        odds = log_odds_of_bad(self._scorer.score(self.rows)).tolist()
        self.points = np.array([to_points(each, scaling) for each in odds])

    def found_in(self, change: Callable[[Live], Live], trial: int) -> int | None:
        """The first window that alarms, counted from 1; None for none of `WINDOWS`."""
        order = np.random.default_rng((trial, 8)).permutation(len(self.rows))
        training, rest = order[: len(order) // 2], order[len(order) // 2 :]
        known = reference(self.names, self.rows[training], self.points[training])
        live = change(Live(self.rows[rest], self.points[rest], self.names))
        watch: DriftWatch | None = None
        for number in range(TERMS.window_events * WINDOWS):
            features = dict(zip(self.names, live.rows[number].tolist(), strict=True))
            audit = scored(self._scorer.manifest, number, features, int(live.points[number]))
            if watch is None:
                used = audit.decision.model
                assert used is not None
                watch = DriftWatch({used.sha256: known}, TERMS)
            population = watch.take(audit)
            if population is not None and any(each.alarms for each in population.latest):
                return population.windows
        return None


def measure(segment: Segment, trials: int) -> list[dict[str, Any]]:
    """Of each change, in how many trials it is found in the first window, and in two."""
    halves, lines = Halves(segment), []
    for name, change in CHANGES.items():
        found = [halves.found_in(change, trial) for trial in range(trials)]
        first = sum(each == 1 for each in found)
        low, high = binomtest(first, trials).proportion_ci(0.95)
        lines.append(
            {
                "segment": segment.value,
                "change": name,
                "trials": trials,
                "first_window": first,
                "two_windows": sum(each is not None for each in found),
                "interval": [round(float(low), 4), round(float(high), 4)],
            }
        )
    return lines


def main() -> None:
    """Print a line for each segment and change."""
    parser = argparse.ArgumentParser(description="False alarms, and planted drift that is found.")
    parser.add_argument("--trials", type=int, default=200)
    given = parser.parse_args()
    for segment in Segment:
        for line in measure(segment, given.trials):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
