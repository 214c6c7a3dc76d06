"""False alarms and finds of the watch on drift: python bench/drift.py [--json].

All on the consumer model's reference. Windows without drift draw training rows and live
ones anew from the same shares; windows with drift move, hide or replace values of a part
of the rows. A question has a ninth of a third of 1 %, as in a window of nine series, or
1 % where its line says so.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream.scoring.manifest import load_manifest
from stream.scoring.reference import Reference, Shape
from stream.watch.drift import POINTS, QUESTIONS, DriftTerms, Population, judge
from stream.watch.psi import Drift, compare, drift
from stream.watch.sketch import Sketch, as_float32

MODELS = Path(__file__).parents[1] / "models" / "onnx" / "consumer"
TERMS = DriftTerms()
WINDOW, LEVEL = TERMS.window_events, TERMS.level
MISSING = -1.0
DRAWS, WINDOWS, FOUND = 8_000, 2_000, 200
Line = tuple[str, int, float, float | None]
"""What, windows, share that alarmed, mean index."""

Values = npt.NDArray[np.float64]


def index_alarms(n: int, m: int, shares: list[float], chance: np.random.Generator) -> Line:
    """One index at 1 % without drift: `n` training rows, a window of `m`."""
    training, live = chance.multinomial(n, shares, DRAWS), chance.multinomial(m, shares, DRAWS)
    pairs = zip(training.tolist(), live.tolist(), strict=True)
    alarms = np.mean([drift(before, now).p_value < LEVEL for before, now in pairs])
    bins = "ten equal bins" if len(shares) == 10 else "bins of 97 and 3 %"
    return f"without drift, {bins}, n {n:,}, m {m:,}, at 1 %", DRAWS, float(alarms), None


def window_alarms(reference: Reference, chance: np.random.Generator) -> Line:
    """All series and questions of a window without drift."""
    shapes = {POINTS: reference.score, **reference.features}
    level = LEVEL / len(shapes) / len(QUESTIONS)
    window = Population("consumer", "champion", "1.0.0", {}, events=WINDOW)
    alarmed = set()
    for name, bins in shapes.items():
        shares = np.asarray([*bins.counts, bins.missing]) / bins.rows
        training = chance.multinomial(bins.rows, shares, WINDOWS).tolist()
        live = chance.multinomial(WINDOW, shares, WINDOWS).tolist()
        for number, (before, now) in enumerate(zip(training, live, strict=True)):
            anew = Shape(bins.edges, tuple(before[:-1]), before[-1], bins.low, bins.high)
            if judge(name, anew, Sketch(now[:-1], now[-1]), window, level).alarms:
                alarmed.add(number)
    return "without drift, a whole window", WINDOWS, len(alarmed) / WINDOWS, None


def drawn(shape: Shape, chance: np.random.Generator) -> Values:
    """A window in the training rows' shares: the top value of each bin, unknown ones as there."""
    tops = np.array([*shape.edges, shape.high, MISSING])
    shares = np.asarray([*shape.counts, shape.missing]) / shape.rows
    return chance.choice(tops, WINDOW, p=shares)


def spread(shape: Shape, chance: np.random.Generator) -> Values:
    """A window of whole points, even within each bin."""
    ends = np.asarray([shape.low, *shape.edges, shape.high])
    bins = chance.choice(len(shape.counts), WINDOW, p=np.asarray(shape.counts) / sum(shape.counts))
    return np.ceil(chance.uniform(ends[bins], ends[bins + 1]))


def seen(shape: Shape, values: Values) -> Drift:
    """The values of one window beside the training rows."""
    sketch = Sketch.empty(shape)
    for value in as_float32(values.tolist()):
        sketch.take(value, shape)
    return compare(shape, sketch)


def found(what: str, shape: Shape, level: float, draw: Callable[[], Values]) -> Line:
    """How often the index finds what `draw` makes of a window."""
    all_seen = [seen(shape, draw()) for _ in range(FOUND)]
    hits = float(np.mean([each.p_value < level for each in all_seen]))
    return what, FOUND, hits, float(np.mean([each.psi for each in all_seen]))


def measured() -> list[Line]:
    """Every line, the same for the same model and packages."""
    reference = load_manifest(next(MODELS.iterdir())).reference
    assert reference is not None
    chance = np.random.default_rng(77)
    level = LEVEL / (len(reference.features) + 1) / len(QUESTIONS)
    points, years = reference.score, reference.features["employment_years"]

    def lower(by: int) -> Line:
        return found(f"points {by} lower", points, level, lambda: spread(points, chance) - by)

    def hidden(share: float) -> Line:
        def draw() -> Values:
            return np.where(chance.random(WINDOW) < share, MISSING, drawn(years, chance))

        return found(f"years of employment unknown in {share:.0%} more", years, level, draw)

    return [
        index_alarms(5_000, WINDOW, [0.1] * 10, chance),
        index_alarms(5_000, 200, [0.1] * 10, chance),
        index_alarms(5_000, WINDOW, [0.97, 0.03], chance),
        window_alarms(reference, chance),
        *map(lower, (4, 6)),
        *map(hidden, (0.06, 0.08)),
    ]


def main() -> None:
    """Print the lines as a table, or as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    lines = measured()
    if as_json:
        print(json.dumps(lines))
        return
    print("| what | windows | alarmed | mean index |\n|---|---|---|---|")
    for what, windows, share, index in lines:
        print(f"| {what} | {windows:,} | {share:.2%} | {'' if index is None else f'{index:.3f}'} |")


if __name__ == "__main__":
    main()
