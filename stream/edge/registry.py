"""The models on disk: `<model>/<version>/`, and which version an engine starts with.

`aliases.json` beside the versions names the champion that decides until a command
on `decision.control` says otherwise, under the signature of a release key. Without it a
model does not start: whoever can write the folder must not choose who decides.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from stream.codec.model_v1 import START_FIX, decode_start
from stream.codec.signatures import Trusted
from stream.domain.lineup import Pin, order
from stream.errors import ModelError
from stream.scoring.manifest import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    SIGNATURE_FILE,
    read_file,
)

ALIASES_FILE = "aliases.json"
_MUST = (MODEL_FILE, MANIFEST_FILE, SIGNATURE_FILE, GOLDEN_FILE)


def versions(models_dir: Path, model: str) -> list[str]:
    """The versions of a model that are there, oldest first."""
    found = (path.parent.name for path in (models_dir / model).glob(f"*/{MANIFEST_FILE}"))
    return sorted((each for each in found if each[:1].isdigit()), key=_order)


def start_of(models_dir: Path, model: str, trusted: Trusted) -> Pin:
    """The champion that stands while no command names one; ModelError unless that is signed."""
    folder = models_dir / model
    if not folder.is_dir():
        raise ModelError(
            f"no folder {folder} for the model the policy names",
            fix="set models_dir to the folder of the models, or train it: tenminute train",
        )
    file = folder / ALIASES_FILE
    if not file.exists():
        raise ModelError(f"{file}: is not there, so nobody says which one starts", fix=START_FIX)
    return decode_start(read_file(file), model, trusted, str(file))


def put(source: Path, models_dir: Path, model: str, version: str) -> bool:
    """Copy a model to its place, whole or not at all; False when the very same is there.

    What engines start with stays what it is; where nothing says so yet, the word that lies
    beside the source goes along.
    """
    target = models_dir / model / version
    new = not target.exists()
    if not new and not _same(source, target):
        raise ModelError(
            f"{target}: is there with other content",
            fix="a version never changes: train or number it as a new one",
        )
    said, aliases = source.parent / ALIASES_FILE, target.parent / ALIASES_FILE
    try:
        if new:
            target.parent.mkdir(parents=True, exist_ok=True)
            coming = target.with_name(f".{version}.coming")
            shutil.rmtree(coming, ignore_errors=True)
            shutil.copytree(source, coming)
            coming.rename(target)
        if said.exists() and not aliases.exists():
            write_whole(aliases, read_file(said))
    except OSError as error:
        raise ModelError(f"{target}: {error}", fix="name a writable models_dir") from None
    return new


def write_whole(file: Path, raw: bytes) -> None:
    """Write a file so that nobody ever reads half of it."""
    coming = file.with_name(f".{file.name}.coming")
    coming.write_bytes(raw)
    os.replace(coming, file)  # noqa: PTH105 - atomic, and the same call on every system


def _same(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in _MUST)


def _order(version: str) -> tuple[int, ...]:
    try:
        return order(version)
    except ValueError:
        return ()
