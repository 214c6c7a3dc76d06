"""Settings: one TOML file, overridden by TENMINUTE_* variables, checked once at start."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from stream.errors import ConfigError
from stream.limits import BATCH_RECORDS_MAX

_PACKAGE = Path(__file__).parent


def _shipped(folder: str) -> Path:
    """A folder of the checkout, or of the installed package where there is no checkout."""
    checkout = _PACKAGE.parent / folder
    return checkout if checkout.is_dir() else _PACKAGE / "_data" / folder


DEMO_RELEASE_KEYS = [
    _shipped("models/keys") / name for name in ("demo-release.pub", "demo-second.pub")
]
"""Vouches for the shipped models, and for nothing that decides over a bank's money."""

_EXACTLY_ONCE = "exactly one decision rests on it"
OWNED_BY_ENGINE = {
    "bootstrap.servers": "set `bootstrap`",
    "group.id": "set `group_id`",
    "group.instance.id": "set `instance`; a worker's place in the group and its producers' ids go "
    "together",
    "transactional.id": "set `instance`; two producers of one id fence each other",
    "auto.offset.reset": "an engine never guesses where to read on",
    "enable.auto.commit": "offsets are committed with the decisions only",
    "auto.commit.enable": "offsets are committed with the decisions only",
    "enable.auto.offset.store": "offsets are committed with the decisions only",
    "max.poll.interval.ms": "how long a worker may hang and keep its place; see `stream/limits.py`",
    "isolation.level": "what an aborted transaction wrote is not there",
    "partitioner": "a person has one partition, by murmur2 as every channel computes it",
    "enable.idempotence": _EXACTLY_ONCE,
    "acks": _EXACTLY_ONCE,
    "request.required.acks": _EXACTLY_ONCE,
    "max.in.flight": _EXACTLY_ONCE,
    "max.in.flight.requests.per.connection": _EXACTLY_ONCE,
}
"""Client settings that are no one's to set, each with the reason; aliases included."""


class Settings(BaseSettings):
    """Every setting of every command; frozen once read."""

    model_config = SettingsConfigDict(
        env_prefix="TENMINUTE_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    bootstrap: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers")
    group_id: str = Field("tenminute-engine", description="consumer group of the engine")
    instance: str = Field(default_factory=socket.gethostname, description="name of this host")
    partitions: int = Field(6, ge=1, le=10_000, description="partitions of co-partitioned topics")
    replication: int = Field(1, ge=1, le=9, description="replicas of every topic")
    state_dir: Path = Field(Path(".tenminute"), description="store, health files, logs")
    models_dir: Path = Field(default_factory=lambda: _shipped("models/onnx"))
    schemas_dir: Path = Field(default_factory=lambda: _shipped("schemas"))
    policy_file: Path = Field(_PACKAGE / "policy" / "policy.toml", description="the policy")
    screening_file: Path = Field(
        _PACKAGE / "screening" / "policy.toml", description="what an offer adds to the policy"
    )
    metrics_host: str = Field("127.0.0.1", description="address of /metrics and probes")
    metrics_port: int = Field(9464, ge=0, le=65_535, description="port of /metrics and probes")
    workers: int = Field(1, ge=1, le=256, description="worker processes on this host")
    batch_records: int = Field(BATCH_RECORDS_MAX, ge=1, le=10_000, description="records a batch")
    control_key_files: list[Path] = Field(
        default_factory=list, description="public keys whose commands count; none: no command does"
    )
    guard_key_files: list[Path] = Field(
        default_factory=list, description="public keys that may tighten a segment or end a trial"
    )
    watch_window_events: int = Field(
        1_000, ge=100, le=1_000_000, description="scored decisions that a window of drift holds"
    )
    watch_level: float = Field(
        0.01, gt=0, lt=0.5, description="chance that such a window alarms without drift"
    )
    model_key_files: list[Path] = Field(
        default_factory=DEMO_RELEASE_KEYS.copy,
        description="public keys whose models may decide; by default that of the shipped models",
    )
    dead_letter_key_file: Path | None = Field(
        None, description="32 bytes in hex or base64 that seal dead letters; none: only outlines"
    )
    dead_letter_old_key_files: list[Path] = Field(
        default_factory=list, description="keys before the present one, to read older dead letters"
    )
    log_json: bool = Field(False, description="log JSON lines on a terminal too")
    kafka: dict[str, str] = Field(default_factory=dict, description="further client settings")

    @field_validator("kafka")
    @classmethod
    def _leave_the_engines_own(cls, kafka: dict[str, str]) -> dict[str, str]:
        owned = [f"{key} ({OWNED_BY_ENGINE[key]})" for key in kafka if key in OWNED_BY_ENGINE]
        if owned:
            raise ValueError(f"take out {', '.join(owned)}")
        return kafka

    @property
    def store_dir(self) -> Path:
        """Where the whitelist and bureau store lives."""
        return self.state_dir / "store"

    @property
    def health_dir(self) -> Path:
        """Where each process writes what it is doing."""
        return self.state_dir / "health"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over the file."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(file: Path | None = None, **overrides: Any) -> Settings:  # noqa: ANN401
    """Settings from `file`, environment and `overrides`; ConfigError lists every fault at once."""
    if file is not None and not file.is_file():
        raise ConfigError(f"no configuration file at {file}", fix="give --config an existing file")

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return FromFile(**given)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise ConfigError(
            f"{file or 'environment'}: {faults}", fix="correct the keys named above"
        ) from None
    except SettingsError as error:
        raise ConfigError(f"environment: {error}", fix="give that variable as JSON") from None
    except ValueError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}", fix="mend the file") from None


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables that give a child process exactly these settings."""
    return {
        f"TENMINUTE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.model_dump(mode="json").items()
        if value is not None
    }
