"""Arguments beat the environment, the environment the file; faults come all at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from stream.config import OWNED_BY_ENGINE, Settings, as_environment, load_settings
from stream.errors import ConfigError, Exit
from stream.policy.load import load_policy


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the machine and no file of the checkout has a say."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TENMINUTE_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def _file(folder: Path, text: str) -> Path:
    path = folder / "tenminute.toml"
    path.write_text(text)
    return path


def test_defaults_are_enough_to_start() -> None:
    """Without any file the shipped models, schemas and policy are found."""
    settings = load_settings()
    assert (settings.models_dir / "consumer").is_dir()
    assert (settings.schemas_dir / "loan.applications.schema.json").is_file()
    assert load_policy(settings.policy_file).policy_id


def test_every_fault_is_listed_at_once(tmp_path: Path) -> None:
    """One reading names the file and each key at fault; the exit code is that of a setting."""
    file = _file(tmp_path, 'partitions = 0\nworkers = "many"\nmetrics_port = 70000\n')
    with pytest.raises(ConfigError) as caught:
        load_settings(file, replication=99)
    assert caught.value.exit_code == Exit.CONFIG
    for said in (str(file), "partitions", "workers", "metrics_port", "replication", "correct"):
        assert said in str(caught.value)


@pytest.mark.parametrize("text", ["bootstrap_servers = 'x:1'", "[kafka_extra]\na = '1'"])
def test_an_unknown_key_is_refused(tmp_path: Path, text: str) -> None:
    """A misspelt key stops the start and is named."""
    with pytest.raises(ConfigError, match=r"bootstrap_servers|kafka_extra"):
        load_settings(_file(tmp_path, text))


def test_the_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File, then environment over it, then arguments over both."""
    file = _file(tmp_path, 'bootstrap = "file:1"\ngroup_id = "file"\nworkers = 2\n')
    monkeypatch.setenv("TENMINUTE_BOOTSTRAP", "environment:1")
    monkeypatch.setenv("TENMINUTE_GROUP_ID", "environment")
    settings = load_settings(file, group_id="argument", workers=None)
    found = (settings.bootstrap, settings.group_id, settings.workers)
    assert found == ("environment:1", "argument", 2)


def test_client_settings_come_from_any_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table in the file and nested variables both fill `kafka`."""
    file = _file(tmp_path, '[kafka]\n"security.protocol" = "SSL"\n')
    assert load_settings(file).kafka == {"security.protocol": "SSL"}
    monkeypatch.setenv("TENMINUTE_KAFKA", '{"linger.ms": "5"}')
    assert load_settings(file).kafka["linger.ms"] == "5"


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """A configuration asked for and missing is never silently the defaults."""
    with pytest.raises(ConfigError, match="no configuration file at"):
        load_settings(tmp_path / "missing.toml")


def test_a_file_that_is_no_toml_is_said(tmp_path: Path) -> None:
    """Broken TOML is a ConfigError with the file's name, not a traceback."""
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_settings(_file(tmp_path, "partitions = = 6"))


def test_a_variable_that_is_no_json_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken table in the environment is named as such, and not as a broken file."""
    monkeypatch.setenv("TENMINUTE_KAFKA", "{linger")
    with pytest.raises(ConfigError, match="kafka") as caught:
        load_settings()
    assert "None" not in str(caught.value)
    assert "TOML" not in str(caught.value)


def test_a_fault_never_repeats_a_secret(tmp_path: Path) -> None:
    """A password in the wrong shape is named by its key, and its value is not shown."""
    file = _file(tmp_path, '[kafka]\n"sasl.password" = ["hunter2-canary"]\n')
    with pytest.raises(ConfigError, match=r"sasl\.password") as caught:
        load_settings(file)
    assert "hunter2-canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_settings_are_frozen() -> None:
    """Nothing changes a setting after the start."""
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.workers = 3


def test_a_child_process_gets_exactly_these_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handed on through the environment, the settings come back the same."""
    settings = load_settings(
        bootstrap="broker:9092", state_dir=tmp_path, kafka={"linger.ms": "5"}, workers=3
    )
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert settings.model_dump() == load_settings().model_dump()


@pytest.mark.parametrize("key", sorted(OWNED_BY_ENGINE))
def test_a_client_setting_the_engine_owns_is_refused_with_its_reason(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What exactly one decision rests on cannot be set beside it, from wherever it comes."""
    monkeypatch.setenv("TENMINUTE_KAFKA", json.dumps({"linger.ms": "5", key: "1"}))
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert f"kafka: Value error, take out {key} ({OWNED_BY_ENGINE[key]})" in str(caught.value)
    assert "linger.ms" not in str(caught.value)
