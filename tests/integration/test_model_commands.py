"""A worker that starts obeys the commands on models that stand, or says why it cannot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from model_cases import TRUSTED, small_folder, two_operators
from policy_cases import POLICY
from prometheus_client import CollectorRegistry

from stream.config import Settings
from stream.domain.control import Switches
from stream.edge.controls import Controls
from stream.edge.key_pairs import OPERATOR
from stream.edge.onnx_scorer import OnnxScorer
from stream.edge.shelf import ModelShelf
from stream.errors import ModelError
from stream.obs.metrics import EngineMetrics
from stream.ops import control

pytestmark = pytest.mark.broker


class Host:
    """One worker's controls and models, without the rest of the engine."""

    def __init__(self, settings: Settings, base: str) -> None:
        metrics = EngineMetrics(CollectorRegistry())
        scorer = OnnxScorer(settings.models_dir / "farmer" / base, TRUSTED)
        self.shelf = ModelShelf(
            settings.models_dir, TRUSTED, {"farmer": scorer}, metrics.model_info
        )
        models = {name: segment.model for name, segment in POLICY.segments.items()}
        log = structlog.get_logger()
        self.controls = Controls(settings, "host-0", models, metrics.control, log, self.shelf)

    def __enter__(self) -> Host:
        """Caught up."""
        self.controls.catch_up()
        return self

    def __exit__(self, *_: object) -> None:
        """Closed."""
        self.controls.close()

    @property
    def stands(self) -> list[str]:
        """Versions in their places, the champion first."""
        switches: Switches = self.controls.switches
        lineup = self.shelf.lineup("farmer", switches.aliases("farmer"))
        return [seat.scorer.manifest.version for seat in lineup.seats]


@pytest.fixture
def host_settings(settings: Settings, tmp_path: Path) -> Settings:
    """Three small versions, and the keys of two operators whose files lie beside."""
    models = tmp_path / "models"
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        small_folder(models / "farmer" / version, version)
    _, public_files = two_operators(tmp_path)
    return settings.model_copy(update={"models_dir": models, "control_key_files": public_files})


def order(
    settings: Settings, version: str, replaces: str | None, *, rollback: bool = False
) -> None:
    """A champion by both operators; without anything to replace, a shadow."""
    keys: list[Ed25519PrivateKey] = [
        OPERATOR.read_private(file.with_name("control.key")) for file in settings.control_key_files
    ]
    scorer = OnnxScorer(settings.models_dir / "farmer" / version, TRUSTED)
    change = {
        "alias": "champion" if replaces else "shadow", "version": version,
        "manifest_sha256": scorer.manifest_sha256,
        "replaces": replaces, "rollback": rollback,
    }  # fmt: skip
    facts = {
        "action": "model", "scope": "model", "name": "farmer", "reason": "test", "model": change
    }  # fmt: skip
    seen = control.look(settings, control.trusted_of(settings))
    control.publish(settings, control.make_command(facts, seen.switches, "duty"), *keys)


def test_a_worker_that_starts_takes_what_is_in_force_or_what_stood_before(
    host_settings: Settings,
) -> None:
    """With the promoted version; without it the one it replaced; without both it does not start."""
    order(host_settings, "1.2.0", "1.1.0")
    order(host_settings, "1.1.0", None)
    with Host(host_settings, "1.0.0") as host:
        assert host.stands == ["1.2.0", "1.1.0"]
    shutil.rmtree(host_settings.models_dir / "farmer" / "1.2.0")
    with Host(host_settings, "1.0.0") as host:
        assert host.stands == ["1.1.0"]  # its own shadow no longer
    shutil.rmtree(host_settings.models_dir / "farmer" / "1.1.0")
    with pytest.raises(ModelError, match=r"1\.1\.0"), Host(host_settings, "1.0.0"):
        pass


def test_a_worker_does_not_start_with_what_was_rolled_back(host_settings: Settings) -> None:
    """When the version to go back to is missing, the one that was left does not decide again."""
    order(host_settings, "1.0.0", "1.1.0", rollback=True)
    with Host(host_settings, "1.1.0") as host:
        assert host.stands == ["1.0.0"]
    shutil.rmtree(host_settings.models_dir / "farmer" / "1.0.0")
    with pytest.raises(ModelError, match=r"1\.0\.0"), Host(host_settings, "1.1.0"):
        pass
