"""One ONNX Runtime session per model: CPU, one thread, verified bytes, finite in and out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from stream.codec.signatures import Trusted
from stream.edge.model_folder import open_model, shipped_keys
from stream.edge.registry import start_of
from stream.errors import ModelError
from stream.scoring.manifest import MODEL_FILE, SCALING_KEY, scaling_text

FloatMatrix = npt.NDArray[np.float32]

CHUNK_ROWS = 128
"""Rows per session call. Merchant model on 2 cores: 16 us a row alone, 3.1 at 64, 2.8 at 128;
larger gains nothing measurable."""

_SHAPE_FIX = "rebuild model and manifest together with `tenminute train`"


def session_options() -> ort.SessionOptions:
    """One thread, no spinning, no chatter: the same score on every run."""
    options = ort.SessionOptions()
    # Two threads do not add up in the same order each time: one keeps scores reproducible.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


class OnnxScorer:
    """The model of one folder, ready to score."""

    __slots__ = ("_input", "_names", "_session", "_width", "manifest", "manifest_sha256")

    def __init__(self, folder: Path, trusted: Trusted | None = None) -> None:
        """Verify the folder, then build the session from the verified bytes.

        `trusted` are the keys that may vouch for it, by default that of the shipped models.
        """
        self.manifest, onnx, self.manifest_sha256, _ = open_model(folder, trusted)
        path = folder / MODEL_FILE
        try:
            self._session = ort.InferenceSession(
                onnx, sess_options=session_options(), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's errors share no base class
            reason = type(error).__name__
            raise ModelError(
                f"{path}: the runtime refuses it ({reason})", fix=_SHAPE_FIX
            ) from error
        self._names = self.manifest.feature_names
        self._width = len(self.manifest.outputs)
        self._input = self._check_shape(path)
        self._check_scale(path)

    def _check_shape(self, path: Path) -> str:
        """Name of the model's one input, after its width has been compared with the manifest's."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(float)":
            raise ModelError(f"{path}: must have one float input and one output", fix=_SHAPE_FIX)
        widths = (inputs[0].shape[-1], outputs[0].shape[-1])
        if widths != (len(self._names), self._width):
            raise ModelError(f"{path}: widths {widths} are not the manifest's", fix=_SHAPE_FIX)
        return str(inputs[0].name)

    def _check_scale(self, path: Path) -> None:
        """Refuse a manifest whose points are on another scale than the model file says."""
        carried = self._session.get_modelmeta().custom_metadata_map.get(SCALING_KEY)
        if carried != scaling_text(self.manifest.scaling):
            raise ModelError(f"{path}: its scale is not the manifest's", fix=_SHAPE_FIX)

    def score(self, rows: FloatMatrix) -> FloatMatrix:
        """Log-odds per family and base, shape (rows, outputs); ModelError if any is not finite."""
        self._refuse_odd(rows, "feature", self._names)
        scored = np.empty((len(rows), self._width), dtype=np.float32)
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = rows[start : start + CHUNK_ROWS]
            scored[start : start + CHUNK_ROWS] = self._run(chunk)
        self._refuse_odd(scored, "output", self.manifest.outputs)
        return scored

    def _run(self, chunk: FloatMatrix) -> FloatMatrix:
        try:
            outputs: FloatMatrix = self._session.run(None, {self._input: chunk})[0]
        except Exception as error:  # the runtime's own errors share no base class
            where = f"{self.manifest.model_id} {self.manifest.version}"
            raise ModelError(
                f"{where}: the runtime failed: {type(error).__name__}",
                fix="run: tenminute doctor",
            ) from error
        return outputs

    def _refuse_odd(self, values: FloatMatrix, kind: str, names: Sequence[str]) -> None:
        """Name the first column and row that is not finite, never its value."""
        where = f"{self.manifest.model_id} {self.manifest.version}"
        if values.ndim != 2 or values.shape[1] != len(names) or values.dtype != np.float32:
            raise ModelError(
                f"{where}: {kind}s must be float32 rows of {len(names)}",
                fix="build rows with stream.scoring.features.build_row",
            )
        finite = np.isfinite(values)
        if not finite.all():
            row, column = (int(index) for index in np.argwhere(~finite)[0])
            raise ModelError(
                f"{where}: {kind} {names[column]} of row {row} is not finite",
                fix="find the record behind that row; the batch must not be scored",
            )


def load_models(
    models_dir: Path, names: Sequence[str], trusted: Trusted | None = None
) -> dict[str, OnnxScorer]:
    """Scorers by model id: of `farmer` the release that starts, of `farmer/1.0.0` that version.

    `trusted` are the keys that may vouch for them, by default that of the shipped models.
    """
    scorers: dict[str, OnnxScorer] = {}
    keys = shipped_keys() if trusted is None else trusted
    for name in names:
        starts = None if "/" in name else start_of(models_dir, name, keys)
        folder = models_dir / name if starts is None else models_dir / name / starts.version
        scorer = OnnxScorer(folder, keys)
        if starts is not None and scorer.manifest_sha256 != starts.manifest_sha256:
            raise ModelError(
                f"{folder}: is another release than the one that {name} is to start with",
                fix="restore folder and aliases.json from the same release",
            )
        if scorer.manifest.model_id in scorers:
            raise ModelError(f"{name}: the model is named twice", fix="name each model once")
        scorers[scorer.manifest.model_id] = scorer
    return scorers
