"""An engine's settings with further versions of a model, and verbs said under them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from engine_runs import pass_over_earlier
from model_cases import RELEASE_KEY, shifted, two_operators

from stream.broker.place import free_port
from stream.codec.signatures import public_pem
from stream.config import DEMO_RELEASE_KEYS, Settings, as_environment, load_settings

LOG_ODDS_APART = 0.2


def settings_of(
    bootstrap: str, folder: Path, workers: int, versions: tuple[str, str]
) -> tuple[Settings, list[Path]]:
    """Settings of an engine of its own, and the private keys of the two operators it trusts.

    The first further version finds everyone worse than the shipped consumer model, the
    other better; both are signed by a release key that the engine is told to trust.
    """
    shipped, name = load_settings(), f"replay-{time.time_ns():x}"
    shutil.copytree(shipped.models_dir, folder / "models")
    shutil.copy(shipped.policy_file, folder / "policy.toml")
    for version, by in zip(versions, (LOG_ODDS_APART, -LOG_ODDS_APART), strict=True):
        shifted(folder / "models", version, by)
    public = folder / "release.pub"
    public.write_bytes(public_pem(RELEASE_KEY.public_key()))
    private_files, public_files = two_operators(folder)
    settings = load_settings(
        bootstrap=bootstrap,
        state_dir=folder / "state",
        models_dir=folder / "models",
        policy_file=folder / "policy.toml",
        group_id=name,
        instance=name,
        metrics_port=free_port(),
        workers=workers,
        model_key_files=[*DEMO_RELEASE_KEYS, public],
        control_key_files=public_files,
    )
    pass_over_earlier(settings)
    return settings, private_files


def said(settings: Settings, *words: str, fails: bool = False) -> dict[str, Any]:
    """The JSON of a verb of `tenminute` under these settings; exit code 1 only if it `fails`."""
    command = [sys.executable, "-m", "stream", *words]
    environment = {**os.environ, **as_environment(settings)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    allowed = (0, 1) if fails else (0,)
    assert done.returncode in allowed, f"{' '.join(words[:2])}: {done.stdout}{done.stderr}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found
