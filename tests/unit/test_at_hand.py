"""What replay has at hand: every model that can be opened, and word of those that cannot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stream.config import Settings, load_settings
from stream.errors import ModelError
from stream.ops.at_hand import at_hand_of


def _settings(folder: Path) -> Settings:
    shipped = load_settings()
    shutil.copytree(shipped.models_dir, folder / "models")
    return load_settings(models_dir=folder / "models", state_dir=folder)


def test_a_retired_model_that_no_key_vouches_for_stops_no_replay(tmp_path: Path) -> None:
    """After a change of keys what others decided is made again; the retired one is named."""
    settings = _settings(tmp_path)
    consumer = next((settings.models_dir / "consumer").glob("*/"))
    retired = consumer.with_name("0.9.0")
    shutil.copytree(consumer, retired)
    (retired / "manifest.sig").unlink()
    told: list[str] = []
    at_hand_of(settings, (), told.append)
    assert len(told) == 1
    assert told[0].startswith("not at hand: ")
    assert "0.9.0" in told[0]


def test_a_model_in_force_must_be_trusted(tmp_path: Path) -> None:
    """What decides now is never passed over."""
    settings = _settings(tmp_path)
    (next((settings.models_dir / "consumer").glob("*/")) / "manifest.sig").unlink()
    with pytest.raises(ModelError):
        at_hand_of(settings)
