"""Loans with score, amount and outcome, on which a cut-off is chosen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream.domain.application import Segment
from stream.errors import ConfigError, ModelError
from stream.lab.data import FloatVector, load_source
from stream.lab.export import to_onnx
from stream.lab.fit import fit, split_rows
from stream.lab.recipe import Recipe
from stream.scoring.manifest import Manifest, Scaling
from stream.scoring.scorecard import to_pd, to_points

COLUMNS = ("points", "amount_fen", "bad")
LOANS_MIN = 100
"""Fewer loans than this say nothing that a cut-off may rest on."""


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Loans of a segment in columns: points, amount in fen, pd, and 1 where it went bad."""

    segment: Segment
    source: str
    points: npt.NDArray[np.int64]
    amounts: FloatVector
    pd: FloatVector
    bad: npt.NDArray[np.int64]


def held_out(recipe: Recipe, manifest: Manifest, data: Path) -> Portfolio:
    """The fifth of a model's data that it has not learned from, scored by the model.

    The model is grown again from its recipe, so it must come out as the bytes
    the manifest vouches for; ModelError otherwise.
    """
    loans = load_source(data, recipe.segment).loans
    rows = loans.matrix(recipe.names)
    train, held = split_rows(recipe, loans)
    model = fit(recipe, rows[train], loans.bad[train])
    if hashlib.sha256(to_onnx(recipe, model)).hexdigest() != manifest.onnx_sha256:
        raise ModelError(
            f"{manifest.model_id} {manifest.version}: this data and recipe give another model",
            fix="name the data it was trained on with --data, or train it again",
        )
    log_odds = [float(value) for value in model.log_odds(rows[held])]
    return Portfolio(
        segment=recipe.segment,
        source="held-out rows",
        points=np.array([to_points(value, manifest.scaling) for value in log_odds]),
        amounts=loans.columns["requested_amount_fen"][held],
        pd=np.array([to_pd(value) for value in log_odds]),
        bad=loans.bad[held],
    )


def from_file(path: Path, segment: Segment, scaling: Scaling) -> Portfolio:
    """Loans of a bank's own: a CSV with `points`, `amount_fen` and `bad` (0 or 1) in a header row.

    The pd is that of the points, so it is right to the width of one point.
    """
    import pandas as pd  # noqa: PLC0415  an extra: the message below must come first

    try:
        table = pd.read_csv(path, usecols=list(COLUMNS)).astype(
            {"points": np.int64, "amount_fen": np.float64, "bad": np.int64}
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: cannot be read as loans ({type(error).__name__})",
            fix=f"a CSV with whole numbers under {', '.join(COLUMNS)} is expected",
        ) from error
    sound = (table["amount_fen"] > 0).all() and table["bad"].isin([0, 1]).all()
    if not sound or len(table) < LOANS_MIN:
        raise ConfigError(
            f"{path}: an amount is not above 0, a bad is not 0 or 1, or loans are few",
            fix=f"mend the file; at least {LOANS_MIN} loans are needed",
        )
    points = table["points"].to_numpy()
    odds = scaling.base_odds * 2.0 ** ((points - scaling.base_points) / scaling.pdo)
    amounts, bad = table["amount_fen"].to_numpy(), table["bad"].to_numpy()
    return Portfolio(segment, path.name, points, amounts, 1.0 / (1.0 + odds), bad)
