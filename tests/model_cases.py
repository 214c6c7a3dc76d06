"""Model folders of the tests' own: one small enough to flip every bit of, changed and signed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper

from stream.codec.model_v1 import encode_signatures, encode_start, sign_manifest
from stream.codec.signatures import Trusted, key_id
from stream.domain.lineup import Pin
from stream.edge.key_pairs import OPERATOR
from stream.scoring.manifest import ML_DOMAIN, SCALING_KEY, decode_manifest, scaling_text
from stream.scoring.trees import FEATURES_KEY

MODELS = Path(__file__).parents[1] / "models" / "onnx"
FARMER = next((MODELS / "farmer").glob("*/"))
RELEASE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x02")
STRANGER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x03")
TRUSTED: Trusted = {key_id(RELEASE_KEY.public_key()): RELEASE_KEY.public_key()}
Change = Callable[[dict[str, Any]], object]

SMALL_FEATURES = ("offer_limit_fen", "simplified_file")
"""Of two families; the first splits at 100, the second at one half."""


def signed(folder: Path, *keys: Ed25519PrivateKey) -> Path:
    """The folder with its manifest signed as it is now, by the trusted key unless others are."""
    raw = (folder / "manifest.json").read_bytes()
    signatures = [sign_manifest(raw, key) for key in keys or (RELEASE_KEY,)]
    (folder / "manifest.sig").write_bytes(encode_signatures(signatures))
    return folder


def starting(folder: Path, key: Ed25519PrivateKey = RELEASE_KEY) -> Path:
    """The file that says engines start with the model of this folder."""
    raw = (folder / "manifest.json").read_bytes()
    manifest = decode_manifest(raw)
    pin = Pin(manifest.version, hashlib.sha256(raw).hexdigest())
    file = folder.parent / "aliases.json"
    file.write_bytes(encode_start(manifest.model_id, pin, key))
    return file


def clear(raw: dict[str, Any]) -> None:
    """Measured on people and inside every line of the gate, so that one signature is enough."""
    metrics = raw["metrics"]
    group = {
        "name": "a", "rows": 1, "approved": 1, "good_approved": 1, "expected": 0, "observed": 0,
        "judged": True,
    }  # fmt: skip
    region = {"name": "region", "groups": [group], "impact_ratio": 1, "good_impact_ratio": 1}
    metrics["fairness"] |= {"attributes": [region], "absent": []}
    metrics["calibration"] |= {"slope": {"value": 1, "low": 0.9, "high": 1.1}}
    metrics["accepted"] = {}


def copied(folder: Path, change: Change | None = None, source: Path = FARMER) -> Path:
    """A copy of a model that crosses no line, with its manifest changed, signed again."""
    shutil.copytree(source, folder)
    rewrite(folder, clear)
    if change is not None:
        rewrite(folder, change)
    return signed(folder)


def rewrite(folder: Path, change: Change) -> None:
    """Change the manifest of a folder and leave the signature behind."""
    raw = json.loads((folder / "manifest.json").read_text())
    change(raw)
    write_manifest(folder, raw)


def write_manifest(folder: Path, raw: dict[str, Any]) -> None:
    """As short as JSON can be: a test that flips every bit pays for each."""
    text = json.dumps(raw, ensure_ascii=False, separators=(",", ":"))
    (folder / "manifest.json").write_text(text, encoding="utf-8")


def with_model(folder: Path, model: bytes) -> Path:
    """Put another model file into the folder, vouched for by hash and signature."""
    (folder / "model.onnx").write_bytes(model)
    rewrite(folder, lambda m: m.update(onnx_sha256=hashlib.sha256(model).hexdigest()))
    return signed(folder)


def small_model(manifest: dict[str, Any]) -> onnx.ModelProto:
    """Two trees of one split each and the base: outputs are 0.5 or -0.5, 0.25 or 0, and -3."""
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["log_odds"],
        domain=ML_DOMAIN,
        n_targets=3,
        aggregate_function="SUM",
        post_transform="NONE",
        nodes_treeids=[0, 0, 0, 1, 1, 1, 2],
        nodes_nodeids=[0, 1, 2, 0, 1, 2, 0],
        nodes_featureids=[0, 0, 0, 1, 0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
        nodes_values=[100.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0, 1, 0, 0, 0],
        nodes_falsenodeids=[2, 0, 0, 2, 0, 0, 0],
        target_treeids=[0, 0, 1, 1, 2],
        target_nodeids=[1, 2, 1, 2, 0],
        target_ids=[0, 0, 1, 1, 2],
        target_weights=[0.5, -0.5, 0.25, 0.0, -3.0],
    )
    rows = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", 2])
    out = helper.make_tensor_value_info("log_odds", TensorProto.FLOAT, ["rows", 3])
    model = helper.make_model(
        helper.make_graph([node], "small", [rows], [out]),
        ir_version=manifest["ir_version"],
        opset_imports=[helper.make_opsetid(d, v) for d, v in manifest["opset"].items()],
    )
    scaling = decode_manifest((FARMER / "manifest.json").read_bytes()).scaling
    helper.set_model_props(
        model, {FEATURES_KEY: ",".join(SMALL_FEATURES), SCALING_KEY: scaling_text(scaling)}
    )
    return model


def small_folder(
    folder: Path, version: str = "1.0.0", golden_off: float = 0.0, documents: tuple[str, ...] = ()
) -> Path:
    """A whole model folder around the small model, signed by the trusted key."""
    folder.mkdir(parents=True)
    raw = json.loads((FARMER / "manifest.json").read_text())
    raw["features"] = [f for f in raw["features"] if f["name"] in SMALL_FEATURES]
    kept = [feature["family"] for feature in raw["features"]]
    raw["families"] = [f for f in raw["families"] if f["id"] in kept]
    raw["outputs"] = [*kept, "BASE"]
    golden = [
        {"features": [100.0, 1.0], "outputs": [0.5 + golden_off, 0.0, -3.0]},
        {"features": [101.0, 0.0], "outputs": [-0.5, 0.25, -3.0]},
    ]
    (folder / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in golden))
    onnx_bytes = small_model(raw).SerializeToString(deterministic=True)
    golden_sha256 = hashlib.sha256((folder / "golden.jsonl").read_bytes()).hexdigest()
    raw |= {"version": version, "golden_sha256": golden_sha256, "algorithm": "by hand"}
    raw["score_quantiles"] = {}
    raw["metrics"]["out_of_time"] = None
    raw["metrics"]["calibration"]["deciles"] = []
    clear(raw)
    raw["reference"] = None
    raw["documents"] = {name: hashlib.sha256(name.encode()).hexdigest() for name in documents}
    for name in documents:
        (folder / name).write_text(name, encoding="utf-8")
    write_manifest(folder, raw)
    return with_model(folder, onnx_bytes)


def released(models_dir: Path, version: str) -> Path:
    """Another version of the shipped farmer model: the same trees, another file and hash."""
    folder = models_dir / "farmer" / version
    shutil.copytree(FARMER, folder)
    model = onnx.load_from_string((folder / "model.onnx").read_bytes())
    model.producer_version = version
    rewrite(folder, clear)
    rewrite(folder, lambda m: m.update(version=version))
    return with_model(folder, model.SerializeToString(deterministic=True))


def shifted(models_dir: Path, version: str, by: float) -> Path:
    """A version of the shipped consumer model that says `by` log-odds more of everyone, signed."""
    folder = models_dir / "consumer" / version
    shutil.copytree(next((MODELS / "consumer").glob("*/")), folder)
    model = onnx.load_from_string((folder / "model.onnx").read_bytes())
    said = {each.name: each for each in model.graph.node[0].attribute}
    base_output = max(said["target_ids"].ints)
    base = list(said["target_ids"].ints).index(base_output)
    said["target_weights"].floats[base] += by
    rewrite(folder, clear)
    golden = [json.loads(line) for line in (folder / "golden.jsonl").read_text().splitlines()]
    for row in golden:
        row["outputs"][base_output] += by
    (folder / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in golden))
    golden_sha256 = hashlib.sha256((folder / "golden.jsonl").read_bytes()).hexdigest()
    rewrite(folder, lambda m: m.update(version=version, golden_sha256=golden_sha256))
    return with_model(folder, model.SerializeToString(deterministic=True))


def two_operators(folder: Path) -> tuple[list[Path], list[Path]]:
    """Private and public key files of two people."""
    pairs = [OPERATOR.make(folder / name) for name in ("anna", "bo")]
    return [private for private, _, _ in pairs], [public for _, public, _ in pairs]
