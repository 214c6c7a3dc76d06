"""The model of one year: grown from what was known when the year began, and its edges.

Who is on the year's list, and from which points on the machine approves, are read
off the same older loans: the list leaves out the worst fifth, the cut-off lets the
best three fifths pass, as the shipped policies do.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from stream.domain.application import Segment
from stream.domain.reasons import REASONS, ReasonCode
from stream.lab.build import APPROVED_SHARE
from stream.lab.export import IR_VERSION, OPSET, to_onnx, tree_family
from stream.lab.fit import Fit, fit
from stream.lab.history.loans import Known, Past, Rows, known_before, matrix, start_of
from stream.lab.recipe import RECIPES, Data, Recipe, Search, Shape
from stream.lab.reference import reference
from stream.policy.model import Band, Guard, Policy
from stream.ports import FloatMatrix
from stream.scoring.features import MISSING
from stream.scoring.figures import Calibration, Estimate, Fairness, Measured
from stream.scoring.manifest import (
    BASE_OUTPUT,
    Family,
    Manifest,
    ManifestFeature,
    Metrics,
    TrainingData,
)
from stream.scoring.reference import Reference
from stream.scoring.scorecard import to_points

LISTED_SHARE = 0.8
SEGMENT = Segment.MERCHANT
"""The engine's segment that stands for every business of the programme: by sector they would be
too few a year, and before 2001 the sector is recorded of half the loans only."""

_SHAPE = Shape(80, 5, 0.05, 40, 30.0)
_SOMETIMES_UNKNOWN = {"M_BUSINESS_AGE", "M_PRODUCT"}
_RECIPE = Recipe(
    model_id="history",
    version="1.0.0",
    created_at="2026-11-25T00:00:00Z",
    segment=SEGMENT,
    data=Data(
        "sba/sba_full.csv.gz",
        "loans whose outcome was known when the year began",
        "by time: each year is decided by a model of the years before it",
        (),
    ),
    features=tuple(
        replace(spec, missing=MISSING if spec.family in _SOMETIMES_UNKNOWN else None)
        for spec in RECIPES["farmer"].features
    ),
    families_why="as the farmers' model",
    shape=_SHAPE,
    search=Search((_SHAPE,), "not searched"),
)
"""Shaped for some hundred bad loans: half the trees of the farmers' model, and smaller ones."""

_NONE = Estimate(0.0, 0.0, 0.0)
_UNMEASURED = Metrics(
    held_out=Measured(0.0, 0.0, 0.0, 0.0, 1, 0.0),
    out_of_time=None,
    unconstrained_auc=0.0,
    approved_share=0.0,
    approved_bad_rate=0.0,
    calibration=Calibration((), 0.0, 0, _NONE, _NONE, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    fairness=Fairness("nothing", (), ()),
    accepted={},
)
"""A manifest must carry figures; those of these models are what the replay itself measures."""


class GrownScorer:
    """A model straight from the lab, by the leaves that its exported file would add up."""

    def __init__(self, recipe: Recipe, grown: Fit, manifest: Manifest) -> None:
        """Read the leaves once."""
        self.manifest = manifest
        self.manifest_sha256 = _hash_of(manifest)
        self._known: dict[bytes, npt.NDArray[np.float32]] = {}
        """Outputs by row: both arms and every draw ask for the same loans one day at a time."""
        self.grown, self._width = grown, len(recipe.families) + 1
        trees = grown.booster.dump_model()["tree_info"]
        self._leaves = np.zeros((len(trees), max(tree["num_leaves"] for tree in trees)))
        self._targets = np.zeros(len(trees), dtype=np.int64)
        for number, tree in enumerate(trees):
            if "left_child" in tree["tree_structure"]:
                self._targets[number] = tree_family(recipe, tree["tree_structure"])
                for leaf in range(tree["num_leaves"]):
                    self._leaves[number, leaf] = grown.booster.get_leaf_output(number, leaf)

    def centre(self, rows: Rows, weights: npt.NDArray[np.float64]) -> None:
        """Take each family's weighted mean over these rows as what reasons are told from."""
        means = np.average(self.score(rows), axis=0, weights=weights)
        centred = tuple(
            msgspec.structs.replace(family, centre_log_odds=float(mean))
            for family, mean in zip(self.manifest.families, means, strict=False)
        )
        self.manifest = msgspec.structs.replace(self.manifest, families=centred)
        self.manifest_sha256 = _hash_of(self.manifest)

    def score(self, rows: FloatMatrix) -> FloatMatrix:
        """Log-odds per family and base, shape (rows, outputs)."""
        keys = [row.tobytes() for row in rows]
        new = {key: index for index, key in enumerate(keys) if key not in self._known}
        if new:
            outputs = self._outputs(rows[list(new.values())])
            self._known.update(zip(new, outputs, strict=True))
        return np.stack([self._known[key] for key in keys])

    def _outputs(self, rows: FloatMatrix) -> FloatMatrix:
        found = self.grown.booster.predict(rows, pred_leaf=True, num_threads=1).astype(int)
        values = self._leaves[np.arange(len(self._targets)), found]
        outputs = np.zeros((len(rows), self._width), dtype=np.float32)
        for family in range(self._width - 1):
            outputs[:, family] = values[:, self._targets == family].sum(axis=1)
        outputs[:, -1] = self.grown.base_log_odds
        return outputs


class YearModel(NamedTuple):
    """What a year is screened and decided by."""

    year: int
    scorer: GrownScorer
    learned: Known
    list_edge: int
    """Points from which on a business is on the list."""
    cut_off: int

    def points(self, loans: tuple[Past, ...]) -> npt.NDArray[np.int64]:
        """The points of loans (n,), as the engine would count them."""
        manifest = self.scorer.manifest
        rows = matrix(loans, manifest.feature_names)
        return _points(self.scorer, rows)


def year_model(loans: list[Past], year: int) -> YearModel:
    """The model of a year, from the loans whose horizon had ended when it began."""
    known = known_before(loans, start_of(year))
    recipe = replace(_RECIPE, version=f"{year}.0.0")
    rows = known.matrix(recipe.names)
    grown = fit(recipe, rows, known.bad, weights=known.weights)
    scorer = GrownScorer(recipe, grown, _manifest(recipe, grown, rows, known))
    points = _points(scorer, rows)
    list_edge = _weighted_edge(points, known.weights, LISTED_SHARE)
    cut_off = _weighted_edge(points, known.weights, APPROVED_SHARE)
    scorer.centre(rows[points >= cut_off], known.weights[points >= cut_off])
    return YearModel(year, scorer, known, list_edge, cut_off)


def listed_reference(model: YearModel, learned: list[Past]) -> Reference:
    """The shape of the listed among `learned`, which lie at the programme's own bad rate."""
    points = model.points(tuple(learned))
    on_list = points >= model.list_edge
    names = model.scorer.manifest.feature_names
    rows = matrix(learned, names)[on_list]
    return reference(names, rows, points[on_list].astype(np.float64))


def policy_of(shipped: Policy, model: YearModel, guard: Guard) -> Policy:
    """The shipped policy with the year's model and cut-off, one band above it, and this guard."""
    segment = shipped.segments[SEGMENT]
    most_fen = segment.exposure_cap_fen
    band = Band("A", model.cut_off, segment.points_max, most_fen)
    changed = msgspec.structs.replace(
        segment, model=_RECIPE.model_id, cut_off_points=model.cut_off, bands=(band,)
    )
    return msgspec.structs.replace(
        shipped,
        policy_id=f"{shipped.policy_id}-history-{model.year}",
        segments={SEGMENT: changed},
        guard=guard,
    )


def _points(scorer: GrownScorer, rows: Rows) -> npt.NDArray[np.int64]:
    log_odds = scorer.score(rows).sum(axis=1, dtype=np.float64)
    scaling = scorer.manifest.scaling
    return np.asarray([to_points(float(value), scaling) for value in log_odds], dtype=np.int64)


def _weighted_edge(
    points: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], share: float
) -> int:
    """The points that the best `share` of the weight have at least."""
    order = np.argsort(-points, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return int(points[order][np.searchsorted(reached, share)])


def _hash_of(manifest: Manifest) -> str:
    return hashlib.sha256(msgspec.json.encode(manifest)).hexdigest()


def _manifest(recipe: Recipe, grown: Fit, rows: Rows, known: Known) -> Manifest:
    families = tuple(
        Family(code, reason.text_en, reason.text_zh, reason.form_c1, 0.0)
        for code, reason in ((each, REASONS[ReasonCode(each)]) for each in recipe.families)
    )
    numbers = "".join(loan.number for loan in known.loans)
    return Manifest(
        model_id=recipe.model_id,
        version=recipe.version,
        created_at=recipe.created_at,
        segment=recipe.segment,
        algorithm=f"LightGBM, {recipe.shape.trees} trees",
        features=tuple(
            ManifestFeature(spec.name, spec.family, "float32", spec.missing, spec.monotone)  # type: ignore[arg-type]
            for spec in recipe.features
        ),
        families=families,
        outputs=(*recipe.families, BASE_OUTPUT),
        onnx_sha256=hashlib.sha256(to_onnx(recipe, grown)).hexdigest(),
        golden_sha256=hashlib.sha256(rows.tobytes()).hexdigest(),
        opset=OPSET,
        ir_version=IR_VERSION,
        training_data=TrainingData(
            "sba_full", hashlib.sha256(numbers.encode()).hexdigest(), len(rows), "public"
        ),
        metrics=_UNMEASURED,
        scaling=recipe.scaling,
        cut_off_suggestion_points=0,
        score_quantiles={},
    )
