"""What `tenminute doctor` says of the models that commands put into a place."""

from __future__ import annotations

from collections.abc import Iterator

from stream.config import Settings
from stream.domain.control import Switches
from stream.edge.model_folder import open_model, trusted_keys
from stream.errors import ModelError
from stream.ops import control
from stream.ops.doctor_keys import Remark
from stream.policy.load import load_policy


def commanded(settings: Settings) -> Iterator[Remark]:
    """Each model that a command in force names, opened as a worker that starts would open it."""
    trusted = control.trusted_of(settings)
    if not trusted:
        yield Remark("not looked at: no control key to tell commands by")
        return
    yield from opened(settings, control.look(settings, trusted).switches)


def opened(settings: Settings, switches: Switches) -> Iterator[Remark]:
    """A remark for each place that a command filled; ModelError for one that is not as signed."""
    found = [
        (model, change)
        for model in load_policy(settings.policy_file).models
        for change in switches.aliases(model)
        if change is not None and change.version is not None
    ]
    if not found:
        yield Remark(
            "no command names a model: engines decide with those above",
            "tenminute model promote, so that no older signed aliases.json counts if put back",
        )
    for model, change in found:
        name = f"{model} {change.version}, {change.alias} by command"
        try:
            folder = settings.models_dir / model / (change.version or "")
            release = open_model(folder, trusted_keys(settings))
        except ModelError as error:
            raise ModelError(f"{name}: {error.message}", fix=error.fix) from error
        if release.manifest_sha256 != change.manifest_sha256:
            raise ModelError(
                f"{name}: here is another release than the one that was signed for",
                fix="put the same folder on every host, then give the command again",
            )
        yield Remark(f"{name}: here, signed by {', '.join(release.signers)}")
