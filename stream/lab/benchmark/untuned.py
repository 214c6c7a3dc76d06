"""The reference that came with the data: its recipe, run again on the rows measured here.

That reference was measured on a fifth of each set that is not here. Run on the rows of this
benchmark it tells apart what comes from other rows and what from columns left out on purpose.
"""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
from sklearn.metrics import roc_auc_score

from stream.lab.benchmark.figures import DECIMALS
from stream.lab.benchmark.recipe import SEED, Bench
from stream.lab.benchmark.result import Untuned
from stream.lab.benchmark.table import FloatMatrix, Matrix, Table, numbers
from stream.lab.benchmark.trial import Part

TREES, LEAVES = 250, 24
UNKNOWN = -1e6


def _auc(values: FloatMatrix, table: Table, parts: list[Part]) -> float:
    parameters = {
        "objective": "binary",
        "num_leaves": LEAVES,
        "seed": SEED,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbose": -1,
    }
    scores = []
    for part in parts:
        rows = lgb.Dataset(values[part.train], table.bad[part.train])
        model = lgb.train(parameters, rows, TREES)
        scores.append(np.asarray(model.predict(values[part.held_out], num_threads=1)))
    bad = np.concatenate([table.bad[part.held_out] for part in parts])
    return round(float(roc_auc_score(bad, np.concatenate(scores))), DECIMALS)


def untuned(bench: Bench, table: Table, matrix: Matrix, parts: list[Part]) -> Untuned | None:
    """None where no reference is known."""
    if bench.reference is None:
        return None
    more = [np.nan_to_num(v, nan=UNKNOWN) for v in numbers(table.left_out).values()]
    widened = np.column_stack([matrix.values, *more]).astype(np.float32)
    return Untuned(
        reference_auc=bench.reference.auc,
        reference_ks=bench.reference.ks,
        what=bench.reference.what,
        inputs_auc=_auc(matrix.values, table, parts),
        all_auc=_auc(widened, table, parts),
        left_out=list(table.left_out.columns),
    )
