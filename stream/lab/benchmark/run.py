"""One recipe from the file to its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.metrics import roc_auc_score

from stream.lab.benchmark import hunt
from stream.lab.benchmark.ages import by_age, refuse_unfair
from stream.lab.benchmark.boosted import CONSTRAINED, FREE, Chosen, Kind
from stream.lab.benchmark.figures import DECIMALS, difference, measure
from stream.lab.benchmark.recipe import (
    FOLDS,
    INNER_FOLDS,
    ROWS_INNER_FOLDED_MAX,
    ROWS_SEARCHED_MAX,
    SHAPES,
    Bench,
)
from stream.lab.benchmark.result import GOAL, Outcome, Price, Shown, Split
from stream.lab.benchmark.table import Matrix, Table, encode, load, numbers
from stream.lab.benchmark.trial import (
    FAMILY,
    KINDS,
    SCORECARD,
    UNCONSTRAINED,
    Part,
    Trial,
    by_time,
    parts_of,
    rescore,
    run,
)
from stream.lab.benchmark.untuned import untuned

STEPS = 5
Progress = Callable[[str], None]


def _split(kind: str, text: str, table: Table, parts: list[Part], trial: Trial) -> Split:
    bad = table.bad[trial.rows]
    scores = trial.log_odds
    return Split(
        kind=kind,
        text=text,
        learned_rows=len(parts[0].train),
        rows=len(bad),
        bad_rate=round(float(bad.mean()), DECIMALS),
        models={name: measure(log_odds, bad) for name, log_odds in scores.items()},
        cost=difference(bad, scores[FAMILY], scores[UNCONSTRAINED]),
        over_scorecard=difference(bad, scores[FAMILY], scores[SCORECARD]),
    )


def _singly(matrix: Matrix) -> Iterator[tuple[str, Matrix]]:
    """Each pair of families as one family, and each direction away."""
    for first, second in combinations(dict.fromkeys(matrix.families), 2):
        yield f"{first} with {second}", matrix.regrouped({second: first})
    for name in matrix.directed:
        yield f"no direction of {name}", matrix.undirected(name)


def _prices(
    bench: Bench, table: Table, matrix: Matrix, parts: list[Part], trial: Trial
) -> list[Price]:
    """What each loosening adds to the constrained model's AUC, with the shapes it had.

    The single ones are tried only where the goal is missed, and in the first fold only.
    """
    bad, chosen = table.bad[trial.rows], trial.chosen[FAMILY]
    scores = trial.log_odds[FAMILY]
    loosened: list[tuple[str, Matrix, Kind, int]] = [
        ("no directions", matrix, Kind(directions=False), len(parts)),
        ("no families", matrix, Kind(families=False), len(parts)),
    ]
    for text, joins in bench.coarser.items():
        loosened.append((text, matrix.regrouped(joins), CONSTRAINED, len(parts)))
    if difference(bad, scores, trial.log_odds[UNCONSTRAINED]).auc < -GOAL:
        loosened += [(*each, CONSTRAINED, 1) for each in _singly(matrix)]
    found = []
    for what, columns, kind, count in loosened:
        loose = rescore(columns, table.bad, parts[:count], kind, chosen[:count])
        rows = len(loose)
        gain = roc_auc_score(bad[:rows], loose) - roc_auc_score(bad[:rows], scores[:rows])
        found.append(Price(what, round(float(gain), DECIMALS)))
    return found


def _protected_gain(table: Table, matrix: Matrix, parts: list[Part], trial: Trial) -> float | None:
    """What the unconstrained model would gain if it knew whom it is looking at."""
    if table.protected.empty:
        return None
    extra = np.column_stack(list(numbers(table.protected).values()))
    widened = Matrix(
        matrix.names,
        matrix.families,
        matrix.directions,
        np.column_stack([matrix.values, np.nan_to_num(extra, nan=-1.0)]).astype(np.float32),
    )
    bad = table.bad[trial.rows]
    scores = rescore(widened, table.bad, parts, FREE, trial.chosen[UNCONSTRAINED])
    before = float(roc_auc_score(bad, trial.log_odds[UNCONSTRAINED]))
    return round(float(roc_auc_score(bad, scores)) - before, DECIMALS)


def _shape(chosen: list[Chosen]) -> str:
    """The shapes found, in words."""
    leaves = sorted({each.shape.leaves for each in chosen})
    trees = median(each.trees for each in chosen)
    return f"{' or '.join(map(str, leaves))} leaves, {trees:.0f} trees (median)"


def _families(bench: Bench) -> dict[str, list[str]]:
    return {
        f"{family}: {text}": [each.name for each in bench.inputs if each.family == family]
        for family, text in bench.families.items()
    }


def _random_text(parts: list[Part]) -> str:
    if len(parts) == 1:
        return "one random fifth held out, by seed"
    return f"{FOLDS} random folds by seed: each row scored by a model that never saw it"


def measured(bench: Bench, data: Path, progress: Progress, rows_max: int | None = None) -> Outcome:
    """All figures of one recipe; `progress` hears of each of `STEPS` steps."""
    progress("read")
    table = load(bench, data, rows_max)
    progress("hunt leaks")
    marks = hunt.answered(bench, hunt.findings(bench, table))
    hunt.refuse_leaks(bench, marks)
    outside = hunt.outside(bench, table)
    progress("random split")
    matrix = encode(bench, table.inputs)
    parts = parts_of(table.bad)
    trial = run(bench, table, parts)
    splits = [_split("random", _random_text(parts), table, parts, trial)]
    ages = by_age(table, trial)
    refuse_unfair(bench, ages)
    progress("time split")
    later = by_time(table)
    if bench.time is not None and later is not None:
        splits.append(_split("time", bench.time.text, table, [later], run(bench, table, [later])))
    progress("prices")
    prices = _prices(bench, table, matrix, parts, trial)
    protected_gain = _protected_gain(table, matrix, parts, trial)
    searches = len(splits) - 1 + (1 if len(table.bad) > ROWS_SEARCHED_MAX else len(parts))
    inner = INNER_FOLDS if len(parts[0].train) <= ROWS_INNER_FOLDED_MAX else 1
    searched = len(KINDS) * (len(SHAPES) * inner * searches + len(parts) + len(splits) - 1)
    on_all = 2 + len(bench.coarser) + (protected_gain is not None)
    return Outcome(
        name=bench.name,
        title=bench.title,
        file=bench.file,
        sha256=table.sha256,
        rows=len(table.bad),
        bad_rate=round(float(table.bad.mean()), DECIMALS),
        inputs=len(bench.inputs),
        columns=len(matrix.names),
        families=_families(bench),
        splits=splits,
        prices=prices,
        coarser=list(bench.coarser),
        protected_gain=protected_gain,
        marks=marks,
        outside=outside,
        published=[Shown(p.auc, p.what, p.source, p.comparable) for p in bench.published],
        untuned=untuned(bench, table, matrix, parts),
        ages=ages,
        shapes={name: _shape(chosen) for name, chosen in trial.chosen.items()},
        trained=searched + len(parts) * on_all + len(prices) - 2 - len(bench.coarser),
        note=" ".join(filter(None, [bench.note, bench.time.note if bench.time else ""])),
    )
