"""Only what a trusted key vouches for is loaded, and only if it is ours to the last bit."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_cases import (
    RELEASE_KEY,
    STRANGER_KEY,
    TRUSTED,
    rewrite,
    signed,
    small_folder,
    with_model,
)
from onnx import TensorProto, helper, numpy_helper

from stream.codec.signatures import key_id
from stream.config import DEMO_RELEASE_KEYS
from stream.edge.key_pairs import RELEASE
from stream.edge.model_folder import open_model, shipped_keys
from stream.edge.onnx_scorer import OnnxScorer
from stream.errors import ModelError
from stream.limits import MODEL_FILE_BYTES_MAX
from stream.scoring.model_file import OddModelError, read_model_file
from stream.scoring.wire import WireError

FILES = ("manifest.sig", "manifest.json", "model.onnx", "golden.jsonl")
Attribute = onnx.AttributeProto


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_folder(tmp_path / "small")


def test_a_signed_model_is_loaded(folder: Path) -> None:
    """The small model is whole, says who signed it, and scores as its golden rows say."""
    assert open_model(folder, TRUSTED).signers == (key_id(RELEASE_KEY.public_key()),)
    rows = np.array([[100.0, 1.0], [101.0, 0.0]], dtype=np.float32)
    expected = [[0.5, 0.0, -3.0], [-0.5, 0.25, -3.0]]
    assert expected == OnnxScorer(folder, TRUSTED).score(rows).tolist()


def test_every_single_bit_flip_is_refused(folder: Path) -> None:
    """Whichever bit of signature, manifest, model or golden rows is turned, nothing is loaded."""
    taken, flips, begun = [], 0, time.perf_counter()
    for name in FILES:
        path = folder / name
        before = path.read_bytes()
        handle = os.open(path, os.O_WRONLY)
        for at, byte in enumerate(before):
            for bit in range(8):
                os.pwrite(handle, bytes([byte ^ (1 << bit)]), at)
                flips += 1
                try:
                    open_model(folder, TRUSTED)
                except ModelError:
                    continue
                taken.append((name, at, bit))
            os.pwrite(handle, bytes([byte]), at)
        os.close(handle)
        assert path.read_bytes() == before
    assert taken == []
    assert flips == 8 * sum((folder / name).stat().st_size for name in FILES)
    assert (time.perf_counter() - begun) / flips < 0.01  # measured: a fifth of a millisecond
    assert open_model(folder, TRUSTED).manifest.version == "1.0.0"


def test_an_unsigned_model_is_refused(folder: Path) -> None:
    """The message names the file that is not there and how to get it."""
    (folder / "manifest.sig").unlink()
    with pytest.raises(ModelError, match=r"manifest\.sig: is not there") as refused:
        open_model(folder, TRUSTED)
    assert "tenminute model sign" in refused.value.fix


def test_an_unknown_signer_is_refused(folder: Path) -> None:
    """Alone or beside a trusted one: the message names the key and the setting."""
    for keys in ((STRANGER_KEY,), (STRANGER_KEY, RELEASE_KEY)):
        signed(folder, *keys)
        with pytest.raises(ModelError, match=key_id(STRANGER_KEY.public_key())) as refused:
            open_model(folder, TRUSTED)
        assert "model_key_files" in refused.value.fix


def test_two_trusted_signers_are_both_named(folder: Path) -> None:
    """Several may vouch for one release."""
    both = {key_id(key.public_key()): key.public_key() for key in (RELEASE_KEY, STRANGER_KEY)}
    signed(folder, STRANGER_KEY, RELEASE_KEY)
    assert tuple(sorted(both)) == open_model(folder, both).signers


def test_the_signature_of_another_manifest_is_refused(folder: Path) -> None:
    """A manifest changed after it was signed is nobody's."""
    rewrite(folder, lambda m: m.update(version="2.0.0"))
    with pytest.raises(ModelError, match="not over this manifest"):
        open_model(folder, TRUSTED)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda raw: raw.replace(b"  ", b" "),
        lambda raw: raw.rstrip(b"\n"),
        lambda raw: raw.replace(b'"version": 1', b'"version": 2'),
        lambda raw: raw.replace(b"}", b', "x": 1}', 1),
        lambda raw: b"[]",
        lambda raw: b"\xff",
        lambda raw: b"[" * 100_000,
    ],
)
def test_another_spelling_of_the_signature_is_refused(
    folder: Path, spelling: Callable[[bytes], bytes]
) -> None:
    """The file has one spelling, so there is one file for one signature."""
    path = folder / "manifest.sig"
    path.write_bytes(spelling(path.read_bytes()))
    with pytest.raises(ModelError, match=r"manifest\.sig"):
        open_model(folder, TRUSTED)


def test_a_file_too_large_is_refused(folder: Path) -> None:
    """Nothing of it is kept beyond the bound."""
    (folder / "model.onnx").write_bytes(bytes(MODEL_FILE_BYTES_MAX + 1))
    with pytest.raises(ModelError, match=r"model\.onnx: is larger than"):
        open_model(folder, TRUSTED)


def attribute(model: onnx.ModelProto, name: str) -> Any:
    return next(a for a in model.graph.node[0].attribute if a.name == name)


def put(name: str, at: int, value: Any, kind: str = "ints") -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        getattr(attribute(model, name), kind)[at] = value

    return change


def swap_features(model: onnx.ModelProto) -> None:
    names = next(p for p in model.metadata_props if p.key == "features")
    names.value = ",".join(reversed(names.value.split(",")))


def as_tensor(values: np.ndarray[Any, Any], **odd: Any) -> Callable[[onnx.ModelProto], None]:
    """Weights as a tensor in place of a list."""

    def change(model: onnx.ModelProto) -> None:
        node = model.graph.node[0]
        kept = [a for a in node.attribute if a.name != "target_weights"]
        tensor = numpy_helper.from_array(values, "w")
        for key, value in odd.items():
            setattr(tensor, key, value)
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("target_weights_as_tensor", tensor)])

    return change


def outside(model: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(np.zeros(1, dtype=np.float32), "w")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    model.graph.initializer.append(tensor)


def rename(op_type: str, domain: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[0].op_type, model.graph.node[0].domain = op_type, domain

    return change


def set_text(name: str, value: bytes) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        attribute(model, name).s = value

    return change


WEIGHTS = np.array([0.5, -0.5, 0.25, np.nan, -3.0])
ODD: list[tuple[str, str, Callable[[onnx.ModelProto], object]]] = [
    ("threshold NaN", r"nodes_values\[0\] is not", put("nodes_values", 0, np.nan, "floats")),
    ("threshold inf", "not a finite", put("nodes_values", 3, np.inf, "floats")),
    ("weight inf", "not a finite", put("target_weights", 4, -np.inf, "floats")),
    ("weight NaN in a tensor", "not a finite", as_tensor(WEIGHTS)),
    ("weight NaN in a small tensor", "not a finite", as_tensor(WEIGHTS.astype(np.float32))),
    ("weights as halves", "neither float nor double", as_tensor(WEIGHTS.astype(np.float16))),
    ("weights elsewhere", "outside the file", as_tensor(WEIGHTS, data_location=1)),
    ("initializer elsewhere", "outside the file", outside),
    ("feature order", "in their order", swap_features),
    ("no feature names", "in their order", lambda m: m.metadata_props.pop(0)),
    ("other operator", "is not TreeEnsembleRegressor", rename("LinearRegressor", "ai.onnx.ml")),
    ("other domain", "is not TreeEnsembleRegressor", rename("TreeEnsembleRegressor", "my.ops")),
    ("operator twice", "2 operators", lambda m: m.graph.node.append(m.graph.node[0])),
    ("no operator", "0 operators", lambda m: m.graph.node.pop()),
    ("function", "field 25", lambda m: m.functions.add(name="f", domain="ai.onnx.ml")),
    ("training part", "field 20", lambda m: m.training_info.add()),
    ("subgraph", "field 6", lambda m: m.graph.node[0].attribute.add(name="g").g.SetInParent()),
    ("unknown attribute", "attribute cut_off",
     lambda m: m.graph.node[0].attribute.append(helper.make_attribute("cut_off", 1))),
    ("attribute twice", "nodes_modes twice",
     lambda m: m.graph.node[0].attribute.append(attribute(m, "nodes_modes"))),
    ("mixed values", "two kinds", lambda m: attribute(m, "nodes_values").ints.append(1)),
    ("operator version", "versions are not", lambda m: m.opset_import.add(domain="x", version=1)),
    ("format version", "versions are not", lambda m: setattr(m, "ir_version", 8)),
    ("other comparison", "BRANCH_LEQ", put("nodes_modes", 0, b"BRANCH_GT", "strings")),
    ("averaged", "aggregate_function", set_text("aggregate_function", b"AVERAGE")),
    ("through a curve", "post_transform", set_text("post_transform", b"LOGISTIC")),
    ("of two families", "not of the family", put("nodes_featureids", 0, 1)),
    ("column too far", "the manifest has not", put("nodes_featureids", 0, 2)),
    ("column negative", "the manifest has not", put("nodes_featureids", 0, -1)),
    ("two outputs", "another family", put("target_ids", 1, 1)),
    ("output too far", "another family", put("target_ids", 4, 3)),
    ("goes round", "none of its own", put("nodes_truenodeids", 0, 0)),
    ("twice to one", "none of its own", put("nodes_truenodeids", 0, 2)),
    ("to nowhere", "none of its own", put("nodes_falsenodeids", 3, 7)),
    ("node twice", "there twice", put("nodes_nodeids", 2, 1)),
    ("weight at a branch", "at no leaf", put("target_nodeids", 0, 0)),
    ("two weights", "two at one", put("target_nodeids", 0, 2)),
    ("list too short", "differ in length", lambda m: attribute(m, "nodes_values").floats.pop()),
    ("fewer outputs", "number of outputs", lambda m: setattr(attribute(m, "n_targets"), "i", 2)),
]  # fmt: skip


@pytest.mark.parametrize(("said", "change"), [o[1:] for o in ODD], ids=[o[0] for o in ODD])
def test_an_odd_model_is_refused_though_signed(
    folder: Path, said: str, change: Callable[[onnx.ModelProto], object]
) -> None:
    """Hash and signature are right and the file still is no model of ours: the reason is named."""
    model = onnx.load_from_string((folder / "model.onnx").read_bytes())
    change(model)
    with_model(folder, model.SerializeToString(deterministic=True))
    with pytest.raises(ModelError, match=f"model\\.onnx: .*{said}"):
        open_model(folder, TRUSTED)


def test_weights_in_a_tensor_are_read(folder: Path) -> None:
    """A tensor inside the file is as good as a list."""
    model = onnx.load_from_string((folder / "model.onnx").read_bytes())
    as_tensor(np.array([0.5, -0.5, 0.25, 0.0, -3.0]))(model)
    raw = model.SerializeToString(deterministic=True)
    assert read_model_file(raw).attributes["target_weights"] == [0.5, -0.5, 0.25, 0.0, -3.0]


@given(st.binary(max_size=60), st.integers(0, 700))
def test_any_bytes_are_read_or_refused(tail: bytes, cut: int) -> None:
    """No bytes, and no beginning of a model followed by any bytes, raise anything else."""
    for raw in (tail, MODEL[:cut] + tail):
        try:
            read_model_file(raw)
        except (WireError, OddModelError):
            continue


@pytest.fixture(scope="module", autouse=True)
def _model(tmp_path_factory: pytest.TempPathFactory) -> None:
    global MODEL  # noqa: PLW0603 - a given test takes no fixture of a function
    MODEL = (small_folder(tmp_path_factory.mktemp("m") / "s") / "model.onnx").read_bytes()


MODEL = b""


def test_the_shipped_key_is_the_settings_default() -> None:
    """The key of the shipped models is in the repository, and its private half is not."""
    assert shipped_keys() == RELEASE.read_public(DEMO_RELEASE_KEYS)
    assert sorted(DEMO_RELEASE_KEYS[0].parent.rglob("*")) == DEMO_RELEASE_KEYS
