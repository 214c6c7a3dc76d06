"""The recipes of the committed models, as they are trained, beside unconstrained trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from stream.lab.benchmark import boosted
from stream.lab.benchmark.boosted import FREE
from stream.lab.benchmark.figures import DECIMALS, difference, measure
from stream.lab.benchmark.result import Loosened, Shipped
from stream.lab.benchmark.run import Progress
from stream.lab.benchmark.table import Matrix
from stream.lab.benchmark.trial import Part, parts_of, rescore
from stream.lab.data import Loans, load_source
from stream.lab.fit import fit
from stream.lab.recipe import Recipe

FloatVector = npt.NDArray[np.float64]
STEPS = 3


def _joined(recipe: Recipe, joins: dict[str, str]) -> Recipe:
    features = tuple(replace(f, family=joins.get(f.family, f.family)) for f in recipe.features)
    return replace(recipe, features=features)


def _without(recipe: Recipe, name: str | None) -> Recipe:
    """Without the direction of one feature, or of all."""
    return replace(
        recipe,
        features=tuple(
            replace(f, monotone=0) if name in {None, f.name} else f for f in recipe.features
        ),
    )


def _loosened(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    one = dict.fromkeys(recipe.families, recipe.families[0])
    yield "no directions", _without(recipe, None)
    yield "no families", _joined(recipe, one)
    yield "neither", _joined(_without(recipe, None), one)
    for feature in recipe.features:
        if feature.monotone:
            yield f"no direction of {feature.name}", _without(recipe, feature.name)
    for first, second in combinations(recipe.families, 2):
        yield f"{first} with {second}", _joined(recipe, {second: first})


def _scores(recipe: Recipe, loans: Loans, parts: list[Part]) -> FloatVector:
    rows = loans.matrix(recipe.names)
    return np.concatenate(
        [fit(recipe, rows[p.train], loans.bad[p.train]).log_odds(rows[p.held_out]) for p in parts]
    )


def _free(recipe: Recipe, loans: Loans, parts: list[Part]) -> FloatVector:
    """The benchmark's unconstrained rival on the recipe's inputs, searched in the first fold."""
    matrix = Matrix(
        names=recipe.names,
        families=tuple(f.family for f in recipe.features),
        directions=tuple(f.monotone for f in recipe.features),
        values=loans.matrix(recipe.names),
    )
    first = parts[0].train
    chosen = boosted.search(matrix, FREE, matrix.values[first], loans.bad[first])
    return rescore(matrix, loans.bad, parts, FREE, [chosen] * len(parts))


def shipped(recipe: Recipe, data: Path, progress: Progress) -> Shipped:
    """Figures of one recipe over the folds of the benchmark, and what its constraints cost."""
    progress("read")
    loans = load_source(data, recipe.segment).loans
    parts = parts_of(loans.bad)
    bad = np.concatenate([loans.bad[part.held_out] for part in parts])
    progress("rivals")
    family, free = _scores(recipe, loans, parts), _free(recipe, loans, parts)
    progress("loosen")
    before = float(roc_auc_score(bad, family))
    loosened = [
        Loosened(
            what,
            round(float(roc_auc_score(bad, _scores(loose, loans, parts))) - before, DECIMALS),
        )
        for what, loose in _loosened(recipe)
    ]
    return Shipped(
        model_id=recipe.model_id,
        version=recipe.version,
        rows=len(bad),
        bad_rate=round(float(bad.mean()), DECIMALS),
        family=measure(family, bad),
        free=measure(free, bad),
        cost=difference(bad, family, free),
        loosened=loosened,
    )
