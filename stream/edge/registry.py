"""The models on disk: `<model>/<version>/`, and which version an engine starts with.

`aliases.json` beside the versions names the champion that decides until a command
on `decision.control` says otherwise. With one version there is no need of it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from stream.domain.lineup import Version, order
from stream.errors import ModelError
from stream.scoring.manifest import GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, SIGNATURE_FILE

ALIASES_FILE = "aliases.json"
_MUST = (MODEL_FILE, MANIFEST_FILE, SIGNATURE_FILE, GOLDEN_FILE)


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an engine starts with."""

    champion: Version


def versions(models_dir: Path, model: str) -> list[str]:
    """The versions of a model that are there, oldest first."""
    found = (path.parent.name for path in (models_dir / model).glob(f"*/{MANIFEST_FILE}"))
    return sorted((each for each in found if each[:1].isdigit()), key=_order)


def start_version(models_dir: Path, model: str) -> str:
    """The champion that stands while no command names one; ModelError when that is not clear."""
    folder = models_dir / model
    if not folder.is_dir():
        raise ModelError(
            f"no folder {folder} for the model the policy names",
            fix="set models_dir to the folder of the models, or train it: tenminute train",
        )
    file = folder / ALIASES_FILE
    if file.exists():
        try:
            return msgspec.json.decode(file.read_bytes(), type=Start).champion
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ModelError(
                f"{file}: {error}", fix='write {"champion": "<version>"} into it'
            ) from None
    found = versions(models_dir, model)
    if len(found) != 1:
        raise ModelError(
            f"{folder}: holds {len(found)} versions and no {ALIASES_FILE}",
            fix='write {"champion": "<version>"} into it; tenminute model push does so',
        )
    return found[0]


def folder_of(models_dir: Path, name: str) -> Path:
    """`model/version` as it is; `model` alone is the version that an engine starts with."""
    return models_dir / name if "/" in name else models_dir / name / start_version(models_dir, name)


def put(source: Path, models_dir: Path, model: str, version: str) -> bool:
    """Copy a model to its place, whole or not at all; False when the very same is there.

    The version that engines start with stays the one it is.
    """
    target = models_dir / model / version
    if target.exists():
        if _same(source, target):
            return False
        raise ModelError(
            f"{target}: is there with other content",
            fix="a version never changes: train or number it as a new one",
        )
    had = versions(models_dir, model)
    aliases = models_dir / model / ALIASES_FILE
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not aliases.exists():
            champion = start_version(models_dir, model) if had else version
            _write(aliases, msgspec.json.encode(Start(champion)) + b"\n")
        coming = target.with_name(f".{version}.coming")
        shutil.rmtree(coming, ignore_errors=True)
        shutil.copytree(source, coming)
        coming.rename(target)
    except OSError as error:
        raise ModelError(f"{target}: {error}", fix="name a writable models_dir") from None
    return True


def _write(file: Path, raw: bytes) -> None:
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
