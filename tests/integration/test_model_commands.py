"""A worker that starts obeys the commands on models that stand, or says why it cannot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest
import structlog
import structlog.testing
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from model_cases import (
    RELEASE_KEY,
    TRUSTED,
    rewrite,
    signed,
    small_folder,
    starting,
    two_operators,
)
from policy_cases import POLICY
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from stream.cli import app
from stream.codec.signatures import public_pem
from stream.config import Settings
from stream.domain.control import Switches
from stream.domain.instant import from_ms, to_ms
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
        # Not to the screen, which a verb's answer is read from meanwhile.
        log = structlog.wrap_logger(structlog.testing.CapturingLogger())
        self.controls = Controls(settings, "host-0", models, metrics.control, log, self.shelf)

    def __enter__(self) -> Host:
        """Caught up."""
        self.controls.catch_up()
        return self

    def __exit__(self, *_: object) -> None:
        """Closed."""
        self.controls.close()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Hear and answer commands as a worker's loop does, for as long as the context lasts."""
        stop = Event()

        def loop() -> None:
            while not stop.wait(0.005):
                self.controls.poll()
                self.controls.acknowledge()

        with ThreadPoolExecutor(1) as pool:
            going = pool.submit(loop)
            try:
                yield
            finally:
                stop.set()
                going.result(30)

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
    starting(models / "farmer" / "1.1.0")
    release = tmp_path / "release.pub"
    release.write_bytes(public_pem(RELEASE_KEY.public_key()))
    _, public_files = two_operators(tmp_path)
    return settings.model_copy(
        update={
            "models_dir": models,
            "control_key_files": public_files,
            "model_key_files": [release],
        }
    )


def order(
    settings: Settings,
    version: str,
    replaces: str | None,
    *,
    rollback: bool = False,
    seconds_ago: int = 0,
) -> None:
    """A champion by both operators; without anything to replace, a shadow.

    `seconds_ago` is how much earlier it was proposed than given.
    """
    keys: list[Ed25519PrivateKey] = [
        OPERATOR.read_private(file.with_name("control.key")) for file in settings.control_key_files
    ]
    change = {
        "alias": "champion" if replaces else "shadow", "version": version,
        "manifest_sha256": sha256_of(settings, version),
        "replaces": replaces, "rollback": rollback,
        "replaces_sha256": sha256_of(settings, replaces) if replaces else None,
    }  # fmt: skip
    facts = {
        "action": "model", "scope": "model", "name": "farmer", "reason": "test", "model": change
    }  # fmt: skip
    seen = control.look(settings, control.trusted_of(settings))
    made = control.make_command(facts, seen.switches, "duty")
    issued_at = from_ms(to_ms(made.issued_at) - seconds_ago * 1_000)
    control.publish(settings, msgspec.structs.replace(made, issued_at=issued_at), *keys)


def sha256_of(settings: Settings, version: str) -> str:
    """The manifest's hash of a version on this host."""
    return OnnxScorer(settings.models_dir / "farmer" / version, TRUSTED).manifest_sha256


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


@pytest.mark.parametrize(
    ("late", "why"),
    [
        ({"version": "1.1.0", "replaces": "1.0.0"}, "given when 1.0.0 was champion"),
        ({"version": "1.2.0", "replaces": "1.1.0", "seconds_ago": 60}, "a newer command"),
    ],
    ids=["an older version", "an older command"],
)
def test_what_was_refused_stays_refused_after_a_restart(
    host_settings: Settings, late: dict[str, Any], why: str
) -> None:
    """An older version, or an older command played again: no worker ever begins with it."""
    with Host(host_settings, "1.1.0") as host:
        order(host_settings, "1.2.0", "1.1.0")
        if "seconds_ago" in late:
            order(host_settings, "1.1.0", "1.2.0", rollback=True)
        order(host_settings, **late)
        with host.at_work():
            told = say(host_settings, "shadow", "farmer", "1.0.0", *BY, *WAIT, keys=1)
        assert told["complete"]
        before = host.stands
    expected = ["1.1.0" if "seconds_ago" in late else "1.2.0", "1.0.0"]
    assert expected == before
    with Host(host_settings, "1.1.0") as host:
        assert before == host.stands
    seen = control.look(host_settings, control.trusted_of(host_settings))
    [offset] = [at for at, reason in seen.refused.items() if reason == "not_in_force"]
    [ack] = seen.acks[offset]
    assert ack.why is not None
    assert why in ack.why


def test_a_worker_falls_back_to_the_very_release_that_stood(host_settings: Settings) -> None:
    """Another release under the number that was replaced decides nothing: it does not start."""
    order(host_settings, "1.2.0", "1.1.0")
    shutil.rmtree(host_settings.models_dir / "farmer" / "1.2.0")
    folder = host_settings.models_dir / "farmer" / "1.1.0"
    rewrite(folder, lambda manifest: manifest.update(algorithm="another"))
    signed(folder)
    with pytest.raises(ModelError, match="another release"), Host(host_settings, "1.0.0"):
        pass


def test_a_worker_does_not_start_with_what_was_rolled_back(host_settings: Settings) -> None:
    """When the version to go back to is missing, the one that was left does not decide again."""
    order(host_settings, "1.0.0", "1.1.0", rollback=True)
    with Host(host_settings, "1.1.0") as host:
        assert host.stands == ["1.0.0"]
    shutil.rmtree(host_settings.models_dir / "farmer" / "1.0.0")
    with pytest.raises(ModelError, match=r"1\.0\.0"), Host(host_settings, "1.1.0"):
        pass


def say(settings: Settings, *arguments: str, keys: int = 2) -> Any:
    """The JSON of a verb of `tenminute model` under so many operators' keys; or what it raised."""
    names = ("models_dir", "model_key_files", "control_key_files", "group_id")
    dumped = settings.model_dump(mode="json")
    environment = {
        f"TENMINUTE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in dumped.items()
        if name in names
    }
    files = [file.with_name("control.key") for file in settings.control_key_files]
    signing = [part for file in files[:keys] for part in ("--key-file", str(file))]
    whole = ["model", *arguments, *signing, "--bootstrap", settings.bootstrap, "--json"]
    result = CliRunner().invoke(app, whole, env=environment)
    if isinstance(result.exception, Exception):
        return str(result.exception)
    return json.loads(result.stdout)


WAIT = ("--wait", "--workers", "1")
BY = ("--reason", "test", "--by", "duty")


def test_the_verbs_lead_a_version_from_watching_to_deciding_and_back(
    host_settings: Settings, tmp_path: Path
) -> None:
    """Shadow, canary, promote by two people, back: the worker follows and says so."""
    proposal = str(tmp_path / "promote.json")
    with Host(host_settings, "1.1.0") as host, host.at_work():

        def given(*arguments: str, keys: int = 2) -> tuple[bool, list[str]]:
            """Whether the worker has it, and what stands then."""
            told = say(host_settings, *arguments, *BY, *WAIT, keys=keys)
            return told["complete"], host.stands

        assert given("shadow", "farmer", "1.0.0", keys=1) == (True, ["1.1.0", "1.0.0"])
        canary = ("canary", "farmer", "1.2.0", "--share", "5")
        assert "2 signatures" in say(host_settings, *canary, *BY, keys=1)
        assert given(*canary) == (True, ["1.1.0", "1.2.0", "1.0.0"])
        assert given("canary", "farmer", "--off", keys=1) == (True, ["1.1.0", "1.0.0"])
        promote = ("promote", "farmer", "1.2.0", "--propose", proposal)
        assert say(host_settings, *promote, *BY, keys=1)["proposal"] == proposal
        settings = host_settings.model_copy(
            update={"control_key_files": host_settings.control_key_files[::-1]}
        )
        assert say(settings, "approve", proposal, "--yes", *WAIT, keys=1)["complete"]
        assert host.stands == ["1.2.0", "1.0.0"]
        rows = {r["version"]: r for r in say(host_settings, "list", keys=0)["models"]}
        assert (rows["1.2.0"]["stands_as"], rows["1.2.0"]["applied"]) == ("champion", ["host-0"])
        assert "is older than 1.2.0" in say(host_settings, "promote", "farmer", "1.1.0", *BY)
        assert given("rollback", "farmer") == (True, ["1.1.0", "1.0.0"])


def test_a_worker_says_why_it_keeps_what_it_has(host_settings: Settings) -> None:
    """Sound where it is signed for, spoilt where it is loaded: refused, with file and fault."""
    spoilt = host_settings.models_dir / "farmer" / "1.2.0" / "model.onnx"
    with Host(host_settings, "1.1.0") as host:
        order(host_settings, "1.2.0", "1.1.0")
        spoilt.write_bytes(spoilt.read_bytes() + b"\0")
        with host.at_work():
            # A later command is answered after the earlier one.
            told = say(host_settings, "shadow", "farmer", "1.0.0", *BY, *WAIT, keys=1)
        assert told["complete"]
        assert host.stands == ["1.1.0", "1.0.0"]
    seen = control.look(host_settings, control.trusted_of(host_settings))
    offset = seen.switches.in_force["model/champion/farmer"].offset
    [ack] = seen.acks[offset]
    assert ack.why is not None
    assert "model_refused" in ack.why
    assert "model.onnx: does not have the hash" in ack.why
