"""One model folder from one recipe: train, measure, export, describe."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from stream.domain.reasons import REASONS, ReasonCode
from stream.lab.calibration import calibration
from stream.lab.card import CARD_FILE, card
from stream.lab.data import Loans, Source, load_source
from stream.lab.drivers import Judged, explained
from stream.lab.export import IR_VERSION, OPSET, family_log_odds, to_onnx
from stream.lab.fairness import fairness
from stream.lab.fit import METRIC_DECIMALS, Fit, FloatVector, fit, measure, split_rows
from stream.lab.golden import golden_jsonl
from stream.lab.hunt import hunted, refuse_leaks
from stream.lab.offer import full_offer_caveat
from stream.lab.people import People, load_people
from stream.lab.plots import RELIABILITY_FILE, reliability_svg
from stream.lab.recipe import Recipe
from stream.lab.reference import reference
from stream.scoring.figures import OutOfTime
from stream.scoring.manifest import (
    BASE_OUTPUT,
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    Family,
    Manifest,
    ManifestFeature,
    Metrics,
    Scaling,
    TrainingData,
)
from stream.scoring.scorecard import to_points

APPROVED_SHARE = 0.6
"""The suggested cut-off lets the best three fifths of the training rows pass."""

QUANTILES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
STEPS = 6
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Scores:
    """The training rows with their points and family outputs, and the cut-off they suggest."""

    rows: npt.NDArray[np.float32]
    points: FloatVector
    outputs: FloatVector
    cut_off: int

    @property
    def centres(self) -> FloatVector:
        """Mean output of each family over the rows at or above the cut-off."""
        centres: FloatVector = self.outputs[self.points >= self.cut_off].mean(axis=0)
        return centres


def _points(log_odds: FloatVector, scaling: Scaling) -> FloatVector:
    return np.asarray([to_points(float(value), scaling) for value in log_odds], dtype=float)


def _scores(recipe: Recipe, model: Fit, loans: Loans) -> _Scores:
    rows = loans.matrix(recipe.names)
    outputs = np.asarray(family_log_odds(recipe, model, rows))
    points = _points(outputs.sum(axis=1), recipe.scaling)
    cut_off = int(np.quantile(points, 1.0 - APPROVED_SHARE, method="higher"))
    return _Scores(rows, points, outputs, cut_off)


def _out_of_time(recipe: Recipe, source: Source) -> OutOfTime | None:
    """The recipe trained before the source's date and measured after it."""
    if source.before is None or source.after is None or source.split is None:
        return None
    early = fit(recipe, source.before.matrix(recipe.names), source.before.bad)
    later = source.after
    figures = measure(early.log_odds(later.matrix(recipe.names)), later.bad)
    return OutOfTime(**msgspec.structs.asdict(figures), split=source.split)


def _metrics(recipe: Recipe, model: Fit, source: Source, cut_off: int, watched: People) -> Metrics:
    """Held out, out of time, without constraints, what the cut-off lets pass, and whom."""
    rows, bad = source.loans.matrix(recipe.names), source.loans.bad
    train, held_out = split_rows(recipe, source.loans)
    free = fit(recipe, rows[train], bad[train], constrained=False)
    log_odds = model.log_odds(rows[held_out])
    passes = _points(log_odds, recipe.scaling) >= cut_off
    outputs = np.asarray(family_log_odds(recipe, model, watched.loans.matrix(recipe.names)))
    of_people = outputs.sum(axis=1)
    approved = (_points(of_people, recipe.scaling) >= cut_off).astype(np.int64)
    fair = fairness(watched, of_people, approved)
    judged = Judged.of(recipe.families, outputs, recipe.scaling, cut_off)
    return Metrics(
        held_out=measure(log_odds, bad[held_out]),
        out_of_time=_out_of_time(recipe, source),
        unconstrained_auc=measure(free.log_odds(rows[held_out]), bad[held_out]).auc,
        approved_share=round(float(passes.mean()), METRIC_DECIMALS),
        approved_bad_rate=round(float(bad[held_out][passes].mean()), METRIC_DECIMALS),
        calibration=calibration(log_odds, bad[held_out]),
        fairness=explained(fair, watched, judged),
        accepted=recipe.accepted,
    )


def _family(family: str, centre: float) -> Family:
    reason = REASONS[ReasonCode(family)]
    return Family(family, reason.text_en, reason.text_zh, reason.form_c1, round(centre, 6))


def _manifest(
    recipe: Recipe, source: Source, scores: _Scores, metrics: Metrics, files: dict[str, bytes]
) -> Manifest:
    centres = zip(recipe.families, scores.centres, strict=False)
    hashes = {name: hashlib.sha256(raw).hexdigest() for name, raw in files.items()}
    return Manifest(
        model_id=recipe.model_id,
        version=recipe.version,
        segment=recipe.segment,
        created_at=recipe.created_at,
        algorithm=f"LightGBM, {recipe.shape.trees} trees of at most {recipe.shape.leaves} leaves, "
        "each tree inside one reason family, as one ONNX TreeEnsembleRegressor",
        features=tuple(
            ManifestFeature(spec.name, spec.family, "float32", spec.missing, spec.monotone)  # type: ignore[arg-type]
            for spec in recipe.features
        ),
        families=tuple(_family(family, float(centre)) for family, centre in centres),
        outputs=(*recipe.families, BASE_OUTPUT),
        onnx_sha256=hashes[MODEL_FILE],
        golden_sha256=hashes[GOLDEN_FILE],
        opset=OPSET,
        ir_version=IR_VERSION,
        training_data=TrainingData(source.name, source.sha256, len(scores.points), source.licence),
        metrics=metrics,
        scaling=recipe.scaling,
        caveats=recipe.caveats,
        cut_off_suggestion_points=scores.cut_off,
        score_quantiles={
            f"{q:g}": int(np.quantile(scores.points, q, method="lower")) for q in QUANTILES
        },
        reference=reference(recipe.names, scores.rows, scores.points),
    )


def build_model(
    recipe: Recipe, data: Path, progress: Progress
) -> tuple[Manifest, dict[str, bytes]]:
    """Manifest and files by name of one model; `progress` hears of each of `STEPS` steps."""
    progress("read")
    source = load_source(data, recipe.segment)
    train, held_out = split_rows(recipe, source.loans)
    learned = Loans({k: v[train] for k, v in source.loans.columns.items()}, source.loans.bad[train])
    rows = learned.matrix(recipe.names)
    progress("hunt leaks")
    hunt = hunted(recipe, learned, source.columns, source.outcome)
    refuse_leaks(recipe, hunt)
    progress("train")
    model = fit(recipe, rows, learned.bad)
    progress("score")
    scores = _scores(recipe, model, learned)
    progress("measure")
    metrics = _metrics(recipe, model, source, scores.cut_off, load_people(recipe, data))
    progress("export")
    files = {MODEL_FILE: to_onnx(recipe, model), GOLDEN_FILE: golden_jsonl(recipe, model, rows)}
    unseen = source.loans.matrix(recipe.names)[held_out]
    caveat = full_offer_caveat(recipe, model, unseen, source.loans.bad[held_out], scores.cut_off)
    manifest = _manifest(recipe, source, scores, metrics, files)
    if caveat is not None:
        manifest = msgspec.structs.replace(manifest, caveats=(*recipe.caveats, caveat))
    pages = {CARD_FILE: card(manifest, recipe, hunt), RELIABILITY_FILE: reliability_svg(manifest)}
    described = {name: page.encode() for name, page in pages.items()}
    hashes = {name: hashlib.sha256(page).hexdigest() for name, page in described.items()}
    manifest = msgspec.structs.replace(manifest, documents=hashes)
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    return manifest, files | {MANIFEST_FILE: encoded} | described


def write_model(folder: Path, files: dict[str, bytes]) -> None:
    """Put the files into the model's folder, the manifest last, as it vouches for the others."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(files, key=lambda file: file == MANIFEST_FILE):
        (folder / name).write_bytes(files[name])
