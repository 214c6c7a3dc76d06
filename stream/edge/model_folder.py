"""A model as it lies on disk, opened only when somebody trusted vouches for every byte of it.

In this order, cheapest and strictest first: the signature over the manifest's
bytes, the manifest, the hashes of model and golden rows, then what the model file
holds. The runtime sees the very bytes that were checked, never the file again.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from stream.codec.model_v1 import SIGN_FIX, check_signatures
from stream.codec.signatures import Trusted
from stream.config import DEMO_RELEASE_KEYS, Settings
from stream.edge.key_pairs import RELEASE
from stream.errors import ModelError
from stream.scoring.gate import check_gate
from stream.scoring.manifest import (
    MANIFEST_FILE,
    MODEL_FILE,
    SIGNATURE_FILE,
    Manifest,
    load_verified,
    read_file,
)
from stream.scoring.trees import check_model


class Model(NamedTuple):
    """A verified model: what it is, its bytes, the manifest's hash and who signed it."""

    manifest: Manifest
    onnx: bytes
    manifest_sha256: str
    signers: tuple[str, ...]


@cache
def shipped_keys() -> Trusted:
    """The keys of the shipped models."""
    return RELEASE.read_public(DEMO_RELEASE_KEYS)


def trusted_keys(settings: Settings) -> Trusted:
    """The keys whose models may decide."""
    return RELEASE.read_public(settings.model_key_files)


def open_model(folder: Path, trusted: Trusted | None = None) -> Model:
    """The model of a folder; ModelError names file and fix for anything that is not as signed.

    `trusted` are the keys that may vouch for it, by default that of the shipped models.
    """
    raw = read_file(folder / MANIFEST_FILE)
    signature = folder / SIGNATURE_FILE
    if not signature.exists():
        raise ModelError(
            f"{signature}: is not there, so nobody vouches for the model", fix=SIGN_FIX
        )
    keys = shipped_keys() if trusted is None else trusted
    signers = check_signatures(raw, read_file(signature), keys, str(signature))
    manifest, onnx = load_verified(folder, raw)
    check_gate(manifest)
    if manifest.metrics.accepted and len(signers) < 2:
        raise ModelError(
            f"{signature}: one signature, and two must vouch for what was accepted: "
            f"{', '.join(manifest.metrics.accepted)}",
            fix="a second person of the release: tenminute model sign FOLDER --key FILE --add",
        )
    check_model(onnx, manifest, str(folder / MODEL_FILE))
    return Model(manifest, onnx, hashlib.sha256(raw).hexdigest(), signers)
