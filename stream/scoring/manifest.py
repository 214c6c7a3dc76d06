"""The typed manifest of a model, and the checks a model must pass before it is used.

A model folder holds `model.onnx`, `manifest.json`, `golden.jsonl` and `card.md`,
and `manifest.sig` once somebody vouches for it.
The manifest is the contract: which features in which order, which reason family
each output belongs to, which bytes the model is. Nothing is loaded on trust: a
wrong hash, an unknown feature or an odd number stops the engine with the file,
the key and the fix.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from stream.domain.application import Segment
from stream.domain.lineup import Version
from stream.domain.reasons import ReasonCode
from stream.errors import ModelError
from stream.limits import MODEL_FILE_BYTES_MAX
from stream.scoring.features import FEATURES, MISSING
from stream.scoring.figures import Calibration, Fairness, Measured, OutOfTime, Share
from stream.scoring.reference import Reference

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
GOLDEN_FILE = "golden.jsonl"
SIGNATURE_FILE = "manifest.sig"
BASE_OUTPUT = "BASE"
"""Name of the last output: the log-odds every case starts from."""

ML_DOMAIN = "ai.onnx.ml"
FEATURES_KEY = "features"
"""Key of the model file's own metadata under which it names its inputs, joined by commas."""

SCALING_KEY = "scaling"
"""Under this key it carries its own scale, so that the manifest's cannot drift from it."""

MODEL_REASONS = frozenset(code for code in ReasonCode if code.startswith("M_"))
EXTERNAL_DATA_MARK = b"\n\x08location"
"""How an ONNX file spells the key of a tensor kept outside of it."""

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Reason = Annotated[str, Meta(min_length=20, max_length=400)]
DocumentName = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,40}\.(md|svg)\Z")]
"""A plain file name: nothing outside of the model's folder can be meant."""


class ManifestFeature(Struct, frozen=True, forbid_unknown_fields=True):
    """One input: `missing` is the value that stands for unknown, null where that is refused."""

    name: str
    family: str
    type: Literal["float32"]
    missing: float | None
    monotone: Literal[-1, 0, 1]


class Family(Struct, frozen=True, forbid_unknown_fields=True):
    """One reason family, with its mean contribution over the approved training rows."""

    id: str
    label_en: str
    label_zh: str
    form_c1: int
    centre_log_odds: float


class TrainingData(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the model learned."""

    name: str
    sha256: Sha256
    rows: Annotated[int, Meta(ge=1)]
    licence: str


class Metrics(Struct, frozen=True, forbid_unknown_fields=True):
    """Figures of the model card; `out_of_time` is null where the data has no dates."""

    held_out: Measured
    out_of_time: OutOfTime | None
    unconstrained_auc: Share
    approved_share: Share
    approved_bad_rate: Share
    calibration: Calibration
    fairness: Fairness
    accepted: dict[str, Reason]
    """Why a line of the gate that is crossed need not hold, by its name; two must sign for it."""


class Scaling(Struct, frozen=True, forbid_unknown_fields=True):
    """Points: `base_points` at good-to-bad odds of `base_odds`, `pdo` more doubles the odds."""

    base_points: int
    base_odds: Annotated[float, Meta(gt=0)]
    pdo: Annotated[float, Meta(gt=0)]


def scaling_text(scaling: Scaling) -> str:
    """How the model file spells its scale."""
    return msgspec.json.encode(scaling).decode()


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything the engine must know of one model version."""

    model_id: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}\Z")]
    version: Version
    segment: Segment
    created_at: str
    algorithm: str
    features: tuple[ManifestFeature, ...]
    families: tuple[Family, ...]
    outputs: tuple[str, ...]
    onnx_sha256: Sha256
    golden_sha256: Sha256
    opset: dict[str, int]
    ir_version: Annotated[int, Meta(ge=8, le=10)]
    training_data: TrainingData
    metrics: Metrics
    scaling: Scaling
    cut_off_suggestion_points: int
    score_quantiles: dict[str, int]
    reference: Reference | None = None
    """The training rows in bins, for the watch on drift; without one it has nothing to compare."""
    caveats: tuple[str, ...] = ()
    """What a reader must know that no figure says; on the card and in the inventory."""
    documents: dict[DocumentName, Sha256] = {}
    """What people read beside the model, by name. No engine opens it, so none refuses to load."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Inputs in the order of the model's columns."""
        return tuple(feature.name for feature in self.features)

    @property
    def required(self) -> tuple[int, ...]:
        """Columns that must be known: the model never learned what their absence means."""
        return tuple(i for i, feature in enumerate(self.features) if feature.missing is None)


def _problems(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Every (key, complaint) the types alone cannot see."""
    family_ids = tuple(family.id for family in manifest.families)
    if len(set(family_ids)) != len(family_ids) or not family_ids:
        yield "families", "must be a non-empty list without repeats"
    if manifest.outputs != (*family_ids, BASE_OUTPUT):
        yield "outputs", f"must be the families in order, then {BASE_OUTPUT}"
    if len(set(manifest.feature_names)) != len(manifest.features) or not manifest.features:
        yield "features", "must be a non-empty list without repeats"
    if manifest.opset.get(ML_DOMAIN) != 3:
        yield "opset", f"{ML_DOMAIN} must be 3"
    yield from _feature_problems(manifest, family_ids)
    if manifest.reference and tuple(manifest.reference.features) != manifest.feature_names:
        yield "reference.features", "must be the features, in order"
    for i, family in enumerate(manifest.families):
        if family.id not in MODEL_REASONS:
            yield f"families[{i}].id", "is not a model reason code"
        if not math.isfinite(family.centre_log_odds):
            yield f"families[{i}].centre_log_odds", "is not finite"
    for key in ("base_odds", "pdo"):
        if not math.isfinite(getattr(manifest.scaling, key)):
            yield f"scaling.{key}", "is not finite"


def _feature_problems(manifest: Manifest, family_ids: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Every complaint about single features."""
    for i, feature in enumerate(manifest.features):
        if feature.name not in FEATURES:
            yield f"features[{i}].name", "is not in the closed table of stream/scoring/features.py"
        if feature.family not in family_ids:
            yield f"features[{i}].family", "is not one of the families"
        if feature.missing not in (None, MISSING):
            yield f"features[{i}].missing", f"must be null or {MISSING:g}"


def decode_manifest(raw: bytes, file: str = MANIFEST_FILE) -> Manifest:
    """The manifest in `raw`, or ModelError with file, key and fix."""
    fix = "mend the manifest or rebuild the model with `tenminute train`"
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.DecodeError as error:
        raise ModelError(f"{file}: {error}", fix=fix) from error
    for key, complaint in _problems(manifest):
        raise ModelError(f"{file}: {key}: {complaint}", fix=fix)
    return manifest


def read_file(path: Path) -> bytes:
    """The bytes of one file of a model; ModelError when it is not there, or larger than any."""
    try:
        with path.open("rb") as file:
            raw = file.read(MODEL_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror})",
            fix="name a folder models/onnx/<model>/<version> that holds all files of the model",
        ) from error
    if len(raw) > MODEL_FILE_BYTES_MAX:
        raise ModelError(
            f"{path}: is larger than {MODEL_FILE_BYTES_MAX:,} bytes",
            fix="train with fewer trees; the bound is in stream/limits.py",
        )
    return raw


def _checked(path: Path, key: str, expected_sha256: str) -> bytes:
    raw = read_file(path)
    if hashlib.sha256(raw).hexdigest() != expected_sha256:
        raise ModelError(
            f"{path}: does not have the hash under {key} in {MANIFEST_FILE}",
            fix="restore both files from the same release, or rebuild with `tenminute train`",
        )
    return raw


def load_verified(folder: Path, raw: bytes | None = None) -> tuple[Manifest, bytes]:
    """The checked manifest of a model folder and the model bytes its hash vouches for.

    `raw` is the manifest where it has been read already. Who vouches for the
    manifest itself is not asked here.
    """
    raw = read_file(folder / MANIFEST_FILE) if raw is None else raw
    manifest = decode_manifest(raw, str(folder / MANIFEST_FILE))
    onnx = _checked(folder / MODEL_FILE, "onnx_sha256", manifest.onnx_sha256)
    _checked(folder / GOLDEN_FILE, "golden_sha256", manifest.golden_sha256)
    if EXTERNAL_DATA_MARK in onnx:
        raise ModelError(
            f"{folder / MODEL_FILE}: refers to data outside the file",
            fix="export the model with all of its tensors inside",
        )
    return manifest, onnx


def unlike(folder: Path, manifest: Manifest) -> list[str]:
    """The documents of a model that are not as its manifest says, or are not there."""
    return [
        name
        for name, sha256 in manifest.documents.items()
        if not (folder / name).is_file()
        or hashlib.sha256(read_file(folder / name)).hexdigest() != sha256
    ]


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a model folder, after every check and hash has passed."""
    return load_verified(folder)[0]
