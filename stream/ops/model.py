"""What the verbs of `tenminute model` do with a model folder: sign it, and look at all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream.codec.model_v1 import (
    decode_signatures,
    encode_signatures,
    encode_start,
    sign_manifest,
)
from stream.codec.signatures import Trusted
from stream.domain.lineup import Pin
from stream.edge.model_folder import open_model
from stream.edge.onnx_scorer import OnnxScorer
from stream.edge.registry import ALIASES_FILE, write_whole
from stream.errors import ModelError
from stream.scoring.gate import check_gate
from stream.scoring.manifest import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    SIGNATURE_FILE,
    Manifest,
    load_verified,
    read_file,
    unlike,
)
from stream.scoring.trees import check_model

GOLDEN_TOLERANCE = 1e-5
"""Log-odds; the runtime adds float32 leaves, the source doubles."""


class _GoldenRow(msgspec.Struct):
    """Features in the manifest's order, and what the trained source answered."""

    features: list[float]
    outputs: list[float]


_golden = msgspec.json.Decoder(_GoldenRow)


class Examined(NamedTuple):
    """A model that passed every check."""

    manifest: Manifest
    manifest_sha256: str
    signers: tuple[str, ...]
    golden_rows: int
    golden_off: float
    """Largest difference of an output from its golden row."""


class Signing(NamedTuple):
    """Who signed, how many have by now, and what was accepted, with its reason."""

    key_id: str
    signatures: int
    accepted: Mapping[str, str]


def sign_folder(folder: Path, private: Ed25519PrivateKey, *, add: bool) -> Signing:
    """Sign a model whose files agree with each other and that passes the gate.

    With `add`, signatures of other keys that are there already stay beside it.
    """
    raw = read_file(folder / MANIFEST_FILE)
    manifest, onnx = load_verified(folder, raw)
    check_model(onnx, manifest, str(folder / MODEL_FILE))
    check_gate(manifest)
    _check_documents(folder, manifest)
    mine, path = sign_manifest(raw, private), folder / SIGNATURE_FILE
    kept = decode_signatures(read_file(path), str(path)) if add and path.exists() else ()
    others = [each for each in kept if each.key_id != mine.key_id]
    path.write_bytes(encode_signatures([*others, mine]))
    return Signing(mine.key_id, 1 + len(others), manifest.metrics.accepted)


def sign_start(folder: Path, private: Ed25519PrivateKey) -> Path:
    """Write, beside a model that may be signed, that engines start with it; the file."""
    raw = read_file(folder / MANIFEST_FILE)
    manifest, onnx = load_verified(folder, raw)
    check_model(onnx, manifest, str(folder / MODEL_FILE))
    pin = Pin(manifest.version, hashlib.sha256(raw).hexdigest())
    if folder.name != manifest.version:
        raise ModelError(
            f"{folder}: holds {manifest.model_id} {manifest.version}",
            fix="name the folder .../<model>/<version>",
        )
    file = folder.parent / ALIASES_FILE
    write_whole(file, encode_start(manifest.model_id, pin, private))
    return file


def _check_documents(folder: Path, manifest: Manifest) -> None:
    """ModelError names each page that is not the one that was released; an engine does not ask."""
    if names := unlike(folder, manifest):
        raise ModelError(
            f"{folder}: not as the manifest says: {', '.join(names)}",
            fix="restore the files from the same release, or rebuild with `tenminute train`",
        )


def examine(folder: Path, trusted: Trusted) -> Examined:
    """Every check the engine makes, then card and plots, and the golden rows scored again.

    ModelError names a fault.
    """
    opened = open_model(folder, trusted)
    signers = opened.signers
    _check_documents(folder, opened.manifest)
    scorer = OnnxScorer(folder, trusted)
    path = folder / GOLDEN_FILE
    try:
        rows = [_golden.decode(line) for line in read_file(path).splitlines()]
        features = np.array([row.features for row in rows], dtype=np.float32)
        expected = np.array([row.outputs for row in rows])
        off = float(np.abs(scorer.score(features) - expected).max())
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise ModelError(
            f"{path}: is no table of golden rows: {error}", fix="rebuild with `tenminute train`"
        ) from None
    if not off <= GOLDEN_TOLERANCE:
        raise ModelError(
            f"{path}: the model answers otherwise, by up to {off:g}",
            fix="rebuild model and golden rows together with `tenminute train`",
        )
    return Examined(scorer.manifest, scorer.manifest_sha256, signers, len(rows), off)
