"""The committed models answer what their trained source answered, to the edge of every split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from model_cases import TRUSTED, copied, with_model

from stream.edge.onnx_scorer import CHUNK_ROWS, OnnxScorer, load_models
from stream.errors import ModelError

MODELS = Path(__file__).parents[2] / "models" / "onnx"
NAMES = ("farmer", "merchant", "consumer")
SCORERS = load_models(MODELS, NAMES)
VERSION = SCORERS["farmer"].manifest.version


def _golden(name: str) -> tuple[np.ndarray, np.ndarray]:
    path = MODELS / name / SCORERS[name].manifest.version / "golden.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    features = np.array([row["features"] for row in rows], dtype=np.float32)
    return features, np.array([row["outputs"] for row in rows])


@pytest.mark.parametrize("name", NAMES)
def test_every_golden_row_scores_as_its_source(name: str) -> None:
    """Each family and the base are LightGBM's doubles, bit for bit, rows on a split included."""
    features, expected = _golden(name)
    assert len(features) == 50
    assert expected.tobytes() == SCORERS[name].score(features).astype(np.float64).tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_row_scores_the_same_alone_and_in_any_batch(name: str) -> None:
    """Batch size and position change no bit of a score."""
    features, _ = _golden(name)
    many = np.tile(features, (5, 1))
    assert len(many) > CHUNK_ROWS
    together = SCORERS[name].score(many)
    alone = np.vstack([SCORERS[name].score(row[np.newaxis]) for row in many])
    assert alone.tobytes() == together.tobytes()


def test_an_odd_feature_is_named_without_its_value() -> None:
    """NaN stops the batch with feature and row, and no score leaves the model."""
    features, _ = _golden("farmer")
    features[3, 2] = np.nan
    with pytest.raises(ModelError, match="feature amount_to_limit of row 3 is not finite"):
        SCORERS["farmer"].score(features)


def test_rows_of_another_width_are_refused() -> None:
    """A row with a feature too few never reaches the session."""
    with pytest.raises(ModelError, match="float32 rows of 6"):
        SCORERS["farmer"].score(np.zeros((1, 5), dtype=np.float32))


def test_no_rows_give_no_scores() -> None:
    """An empty batch is answered with an empty matrix of the right width."""
    assert SCORERS["farmer"].score(np.zeros((0, 6), dtype=np.float32)).shape == (0, 5)


@pytest.mark.parametrize("name", ["absent", "absent/1.1.0"])
def test_a_model_that_is_not_there_is_named(name: str) -> None:
    """The message carries the folder that was looked for."""
    with pytest.raises(ModelError, match="absent"):
        load_models(MODELS, [name])


def test_a_model_named_twice_is_refused() -> None:
    """Two scorers under one id would make the choice between them an accident."""
    with pytest.raises(ModelError, match="named twice"):
        load_models(MODELS, ["farmer", f"farmer/{VERSION}"])


def test_bytes_the_runtime_cannot_read_are_refused(tmp_path: Path) -> None:
    """Vouched-for bytes that the runtime cannot run stop with the file's name and what to do."""
    folder = copied(tmp_path / "m")
    model = onnx.load_from_string((folder / "model.onnx").read_bytes())
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.STRING
    with_model(folder, model.SerializeToString())
    with pytest.raises(ModelError, match=r"model\.onnx: the runtime refuses it"):
        OnnxScorer(folder, TRUSTED)


@pytest.mark.parametrize("change", [{"pdo": 20.0}, {"base_points": 500}, {"base_odds": 50.0}])
def test_points_on_another_scale_are_refused(tmp_path: Path, change: dict[str, float]) -> None:
    """The model file carries its scale: no manifest can move the points it stands for."""
    folder = copied(tmp_path / "m", lambda raw: raw["scaling"].update(change))
    with pytest.raises(ModelError, match="scale"):
        OnnxScorer(folder, TRUSTED)


def test_a_model_of_other_widths_is_refused(tmp_path: Path) -> None:
    """A manifest that promises fewer features than the model asks for is not believed."""
    folder = copied(tmp_path / "m")
    model = onnx.load_from_string((folder / "model.onnx").read_bytes())
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value += 1
    with_model(folder, model.SerializeToString())
    with pytest.raises(ModelError, match="widths"):
        OnnxScorer(folder, TRUSTED)
