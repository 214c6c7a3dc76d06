"""What `tenminute doctor` looks at on this host: Python, disk, policy, models and schemas."""

from __future__ import annotations

import json
import shutil
import sys

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from stream.broker.place import FREE_BYTES_MIN
from stream.config import DEMO_RELEASE_KEYS, Settings
from stream.edge.model_folder import trusted_keys
from stream.edge.onnx_scorer import load_models
from stream.errors import ConfigError, FatalError
from stream.policy.load import load_policy

PYTHON_MIN = (3, 11)
SCHEMAS = (
    "bureau.features",
    "customer.profiles",
    "decision.audit",
    "decision.audit.checkpoints",
    "decision.audit.checkpoints.headers",
    "decision.audit.dead-letter",
    "decision.audit.headers",
    "decision.control",
    "decision.control.acks",
    "decision.control.headers",
    "disbursement.decisions",
    "loan.application-events",
    "loan.applications",
    "loan.applications.dlq.headers",
    "loan.funnel",
    "loan.outcomes",
    "loan.referral-outcomes",
    "record.headers",
    "whitelist.entries",
)
"""What must lie in the schemas folder, each as NAME.schema.json."""


def python(_settings: Settings) -> str:
    """The version, if it is new enough."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < PYTHON_MIN:
        raise FatalError(f"Python {found} is too old", fix="install Python 3.11 or later")
    return f"Python {found}"


def disk(settings: Settings) -> str:
    """What is free where the state lies."""
    folder = settings.state_dir.absolute()
    while not folder.is_dir():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_MIN:
        raise FatalError(
            f"{free / 1e9:.2f} GB free under {settings.state_dir}, 1 GB is needed",
            fix="free some space, or set `state_dir` to another disk",
        )
    return f"{free / 1e9:,.0f} GB free under {settings.state_dir}"


def policy(settings: Settings) -> str:
    """The policy in the file, checked as the engine does."""
    policy = load_policy(settings.policy_file)
    return f"{policy.policy_id}, sha256 {policy.sha256[:12]}…, {len(policy.segments)} segments"


def models(settings: Settings) -> str:
    """The models the policy asks for, loaded as the engine does."""
    names = _model_names(settings)
    scorers = load_models(settings.models_dir, names, trusted_keys(settings)).values()
    found = ", ".join(f"{each.manifest.model_id} {each.manifest.version}" for each in scorers)
    if settings.model_key_files == DEMO_RELEASE_KEYS:
        return f"{found}, hashes right, signed by the demo's key"
    return f"{found}, hashes and signatures right"


def _model_names(settings: Settings) -> list[str]:
    """The models the policy asks for; every model there is, when the policy cannot be read."""
    try:
        return load_policy(settings.policy_file).models
    except ConfigError:
        return sorted(path.name for path in settings.models_dir.glob("*") if path.is_dir())


def schemas(settings: Settings) -> str:
    """Every schema of the release, each a JSON Schema."""
    fix = "restore the folder from the release, or set `schemas_dir`"
    for name in SCHEMAS:
        file = settings.schemas_dir / f"{name}.schema.json"
        try:
            Draft202012Validator.check_schema(json.loads(file.read_bytes()))
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror}", fix=fix) from error
        except (ValueError, SchemaError) as error:
            raise ConfigError(f"{file}: is no JSON Schema", fix=fix) from error
    return f"{len(SCHEMAS)} in {settings.schemas_dir}"
