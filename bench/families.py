"""What the reasons cost the score: python bench/families.py [--json].

Each shipped model is scored twice in turn, on the same rows and by the same
trees: as it is, with an output for each reason family, and with every leaf
summed into one output, which is the score alone. Taken are three stretches:

- `trees`: the model run alone, the checks for odd values included;
- `score`: from a case to points and probability of default, as the engine goes:
  feature row, model, sum, points, pd, and each family less its centre;
- `record`: the same and the families named, as the audit record keeps them.

Counted is CPU time of this process, the cheapest of all rounds. A ratio compares
two stretches of one run that alternate round by round, so that a neighbour's
load meets both.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import NamedTuple

import msgspec
import numpy as np
import onnx
import onnxruntime as ort

from stream.compose import Scored
from stream.config import load_settings
from stream.demo.loans import load_loans
from stream.demo.synthetic import synthetic_cases
from stream.demo.terms import LoanCase, Run
from stream.domain.application import Segment
from stream.domain.lineup import Alias
from stream.edge.model_folder import shipped_keys
from stream.edge.onnx_scorer import OnnxScorer, session_options
from stream.edge.registry import start_of
from stream.lineup import Seat, scores_of
from stream.policy.verdict import Families, Score
from stream.ports import FloatMatrix
from stream.scoring.features import build_row, missing_required
from stream.scoring.manifest import BASE_OUTPUT, MODEL_FILE
from stream.scoring.scorecard import log_odds_of_bad, to_pd, to_points

NOW_MS = 1_795_564_800_000
SEED = 7
PACKAGES = ("ten-minute-loan", "numpy", "onnx", "onnxruntime", "msgspec")
MODELS = ("farmer", "merchant", "consumer")


class Found(NamedTuple):
    """Microseconds a row of one stretch, with families and without."""

    families_us: float
    alone_us: float

    @property
    def added(self) -> float:
        """Share by which the families make it dearer."""
        return self.families_us / self.alone_us - 1.0


def summed(raw: bytes) -> bytes:
    """The model with every leaf added to one output."""
    model = onnx.load_from_string(raw)
    for attribute in model.graph.node[0].attribute:
        if attribute.name == "target_ids":
            attribute.ints[:] = [0] * len(attribute.ints)
        if attribute.name == "n_targets":
            attribute.i = 1
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    encoded: bytes = model.SerializeToString()
    return encoded


class Alone(OnnxScorer):
    """The same trees behind the same checks, with one output."""

    __slots__ = ()

    @classmethod
    def of(cls, scorer: OnnxScorer, raw: bytes) -> Alone:
        """The scorer with its session and width replaced."""
        alone = cls.__new__(cls)
        for name in OnnxScorer.__slots__:
            setattr(alone, name, copy.copy(getattr(scorer, name)))
        alone._session = ort.InferenceSession(
            summed(raw), sess_options=session_options(), providers=["CPUExecutionProvider"]
        )
        alone._width = 1
        alone.manifest = msgspec.structs.replace(scorer.manifest, outputs=(BASE_OUTPUT,))
        return alone


def cases_of(segment: Segment, count: int) -> list[LoanCase]:
    """Real consumers, made-up farmers and merchants, as in the demo."""
    run = Run(now_ms=NOW_MS, seed=SEED)
    cases = load_loans(run) if segment is Segment.CONSUMER else synthetic_cases(run, 3 * count)
    return [case for case in cases if case.entry and case.application.segment is segment][:count]


def rows_of(seat: Seat, cases: Sequence[LoanCase]) -> FloatMatrix:
    """The feature rows of the cases that the model may score."""
    rows = [
        build_row(seat.names, case.application, case.entry, case.bureau)
        for case in cases
        if case.entry is not None
    ]
    kept = [row for row in rows if missing_required(row, seat.required) is None]
    return np.array(kept, dtype=np.float32)


def alone_of(seat: Seat, alone: Alone, rows: FloatMatrix) -> dict[int, Scored]:
    """`scores_of` for one output: no family, no centre."""
    scorer, manifest = seat.scorer, seat.scorer.manifest
    scaling = manifest.scaling
    totals = log_odds_of_bad(alone.score(rows)).tolist()
    none = Families((), ())
    scored = [
        Scored(
            Score(to_points(total, scaling), to_pd(total), none, row),
            total,
            rows,
            manifest,
            scorer.manifest_sha256,
            manifest.feature_names,
            seat.alias,
        )
        for row, total in enumerate(totals)
    ]
    return dict(enumerate(scored))


def measure(model: str, count: int, rounds: int) -> dict[str, Found]:
    """Each stretch of one model, the cheapest of `rounds` rounds on batches of `count` rows."""
    settings = load_settings()
    starts = start_of(settings.models_dir, model, shipped_keys())
    folder = settings.models_dir / model / starts.version
    scorer = OnnxScorer(folder)
    seat = Seat.of(Alias.CHAMPION, scorer)
    alone = Alone.of(scorer, (folder / MODEL_FILE).read_bytes())
    cases = cases_of(scorer.manifest.segment, count)
    rows = rows_of(seat, cases)
    whole, single = scorer.score(rows).sum(axis=1), alone.score(rows)[:, 0]
    if not np.array_equal(whole, single):  # leaves add up exactly, so any order is the same
        raise AssertionError("the families do not add up to the score")

    def recorded() -> None:
        for each in scores_of(seat, rows_of(seat, cases)).values():
            _ = each.contributions

    pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "trees": (lambda: scorer.score(rows), lambda: alone.score(rows)),
        "score": (
            lambda: scores_of(seat, rows_of(seat, cases)),
            lambda: alone_of(seat, alone, rows_of(seat, cases)),
        ),
        "record": (recorded, lambda: alone_of(seat, alone, rows_of(seat, cases))),
    }
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in pairs}
    for _ in range(rounds):
        for name, (first, second) in pairs.items():
            spent[name].append((_us(first, len(rows)), _us(second, len(rows))))
    return {name: Found(*map(min, zip(*each, strict=True))) for name, each in spent.items()}


def _us(work: Callable[[], object], rows: int) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) / rows * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What reason families add to the score's cost.")
    parser.add_argument("--rows", type=int, default=500, help="rows of a batch")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args()
    found = {model: measure(model, given.rows, given.rounds) for model in MODELS}
    about = {
        "rows": given.rows,
        "rounds": given.rounds,
        "seed": SEED,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    if given.json:
        told = {
            model: {name: {**each._asdict(), "added": each.added} for name, each in parts.items()}
            for model, parts in found.items()
        }
        print(json.dumps({**about, "models": told}))
        return
    for model, parts in found.items():
        for name, each in parts.items():
            print(
                f"{model:9}{name:7}{each.alone_us:8.2f} us alone{each.families_us:8.2f} us with "
                f"families, {each.added:+.1%}"
            )
    for name, value in about.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
