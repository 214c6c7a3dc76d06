"""A model folder is used only when every part of it is what its manifest says."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.domain.reasons import REASONS, ReasonCode
from stream.errors import ModelError
from stream.policy.after_score import adverse
from stream.policy.verdict import Families, Score
from stream.scoring.manifest import decode_manifest, load_manifest
from stream.scoring.scorecard import centred, to_pd, to_points

MODELS = Path(__file__).parents[2] / "models" / "onnx"
FOLDERS = sorted(path.parent for path in MODELS.glob("*/*/manifest.json"))
FARMER = next((MODELS / "farmer").glob("*/"))
Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_the_committed_models_load(folder: Path) -> None:
    """Each folder is named for its model and version and speaks the reason list's words."""
    manifest = load_manifest(folder)
    assert (folder.parent.name, folder.name) == (manifest.model_id, manifest.version)
    assert manifest.segment == manifest.model_id
    for family in manifest.families:
        reason = REASONS[ReasonCode(family.id)]
        assert reason == ("M", family.label_en, family.label_zh, family.form_c1)
    assert "term_months" not in manifest.feature_names or manifest.model_id == "consumer"
    assert (folder / "model.onnx").stat().st_size < 400_000


BROKEN: list[tuple[str, Change, str]] = [
    ("key missing", lambda m: m.pop("opset"), "opset"),
    ("key unknown", lambda m: m.update(extra=1), "extra"),
    ("feature unknown", lambda m: m["features"][0].update(name="sex"), r"features\[0\].name"),
    ("family unknown", lambda m: m["features"][0].update(family="M_X"), r"features\[0\].family"),
    ("no model reason", lambda m: m["families"][0].update(id="W_NOT_LISTED"), "outputs|families"),
    ("odd sentinel", lambda m: m["features"][0].update(missing=0), r"features\[0\].missing"),
    ("other type", lambda m: m["features"][0].update(type="float64"), "type"),
    ("feature twice", lambda m: m["features"].append(m["features"][0]), "features"),
    ("outputs swapped", lambda m: m["outputs"].reverse(), "outputs"),
    ("no features", lambda m: m.update(features=[]), "features"),
    ("operator set", lambda m: m.update(opset={"ai.onnx.ml": 5}), "opset"),
    ("format version", lambda m: m.update(ir_version=99), "ir_version"),
    ("no hash", lambda m: m.update(onnx_sha256="../model"), "onnx_sha256"),
    ("odds of zero", lambda m: m["scaling"].update(base_odds=0), "base_odds"),
    ("segment unknown", lambda m: m.update(segment="giant"), "segment"),
]


@pytest.mark.parametrize(("change", "key"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_wrong_key_is_named(change: Change, key: str) -> None:
    """The message names the file and the key, and says what to do."""
    raw = json.loads((FARMER / "manifest.json").read_text())
    change(raw)
    with pytest.raises(ModelError, match=f"folder/manifest.json: .*({key})") as caught:
        decode_manifest(json.dumps(raw).encode(), "folder/manifest.json")
    assert "tenminute train" in caught.value.fix


@pytest.mark.parametrize("odd", ["NaN", "Infinity", "1e999"])
def test_a_constant_that_is_not_finite_is_refused(odd: str) -> None:
    """No spelling of infinity or NaN becomes a centre."""
    raw = json.loads((FARMER / "manifest.json").read_text())
    raw["families"][0]["centre_log_odds"] = 123456789
    text = json.dumps(raw).replace("123456789", odd)
    with pytest.raises(ModelError):
        decode_manifest(text.encode())


@pytest.mark.parametrize("file", ["model.onnx", "golden.jsonl"])
def test_changed_bytes_are_refused(tmp_path: Path, file: str) -> None:
    """One byte more and the hash no longer vouches for the file."""
    folder = Path(shutil.copytree(FARMER, tmp_path / "m"))
    with (folder / file).open("ab") as handle:
        handle.write(b"\n")
    with pytest.raises(ModelError, match=f"{file}: does not have the hash"):
        load_manifest(folder)


@pytest.mark.parametrize("file", ["model.onnx", "golden.jsonl", "manifest.json"])
def test_an_absent_file_is_named(tmp_path: Path, file: str) -> None:
    """The message names the file that cannot be read."""
    folder = Path(shutil.copytree(FARMER, tmp_path / "m"))
    (folder / file).unlink()
    with pytest.raises(ModelError, match=f"{file}: cannot be read"):
        load_manifest(folder)


def test_data_outside_the_model_file_is_refused(tmp_path: Path) -> None:
    """A model that points at another file is refused even when its own hash is right."""
    folder = Path(shutil.copytree(FARMER, tmp_path / "m"))
    onnx = (folder / "model.onnx").read_bytes() + b"\n\x08location\x12\x04/etc"
    (folder / "model.onnx").write_bytes(onnx)
    raw = json.loads((folder / "manifest.json").read_text())
    raw["onnx_sha256"] = hashlib.sha256(onnx).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(raw))
    with pytest.raises(ModelError, match="outside the file"):
        load_manifest(folder)


def test_points_follow_the_scaling() -> None:
    """At the base odds a case has the base points, and `pdo` more at twice the odds."""
    scaling = load_manifest(FARMER).scaling
    base = -math.log(scaling.base_odds)
    assert scaling.base_points == to_points(base, scaling)
    assert scaling.base_points + scaling.pdo == to_points(base - math.log(2), scaling)


def test_pd_is_bounded_and_does_not_overflow() -> None:
    """The extremes of the log-odds are probabilities, the middle is one half."""
    expected = [0.0, 0.5, 1.0]
    assert expected == [to_pd(log_odds) for log_odds in (-1000.0, 0.0, 1000.0)]


def test_reasons_are_the_families_past_the_approved_population() -> None:
    """Families are ranked by how far they are above their centre; those below give no reason."""
    manifest = load_manifest(FARMER)
    push = (0.1, -0.2, 0.3, 0.0)
    outputs = [f.centre_log_odds + p for f, p in zip(manifest.families, push, strict=True)]
    less = centred(np.array([[*outputs, -2.0]], dtype=np.float32), manifest)[0]
    assert list(push) == pytest.approx(less, abs=1e-6)
    score = Score(500, 0.1, Families(manifest.outputs[:-1], [push]))
    assert (manifest.families[2].id, manifest.families[0].id) == adverse(score)
