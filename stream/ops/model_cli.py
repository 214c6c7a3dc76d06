"""`tenminute model`: sign, check, store and list models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from stream.config import load_settings
from stream.edge.key_pairs import RELEASE
from stream.ops.options import AsJson, Config

model_app = typer.Typer(
    no_args_is_help=True,
    help="Sign models, check them, and say which one decides.",
    epilog="Example: tenminute model validate models/onnx/farmer/1.2.0",
)
Folder = Annotated[Path, typer.Argument(help="Folder of the model: .../<model>/<version>.")]


@model_app.command(epilog="Example: tenminute model keygen /secure/release")
def keygen(folder: Annotated[Path, typer.Argument(help="Folder of the new pair.")]) -> None:
    """Make a release's key pair: one file signs models, the other is what engines trust."""
    private_file, public_file, name = RELEASE.make(folder)
    typer.echo(f"{private_file}: signs models; keep it with those who release them")
    typer.echo(f'{public_file}: key {name}; on every engine, model_key_files = ["{public_file}"]')


@model_app.command(
    epilog="Example: tenminute model sign models/onnx/farmer/1.2.0 --key release.key"
)
def sign(
    folder: Folder,
    key: Annotated[Path, typer.Option(help="Private key of the release.")],
    add: Annotated[bool, typer.Option("--add", help="Keep the signatures that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Vouch for a model: write manifest.sig, once its files agree with each other."""
    from stream.ops.model import sign_folder

    done = sign_folder(folder, RELEASE.read_private(key), add=add)
    told = {"folder": str(folder), "signed_by": done.key_id, "accepted": done.accepted}
    lines = [f"{folder}: signed by {done.key_id}"]
    lines += [
        f"  you vouch that the line {line} need not hold: {why}"
        for line, why in done.accepted.items()
    ]
    if done.accepted and done.signatures < 2:
        lines.append(
            "  a second person must sign, too: tenminute model sign FOLDER --key FILE --add"
        )
    _say(told, "\n".join(lines), as_json)


@model_app.command(
    epilog="Example: tenminute model start models/onnx/farmer/1.2.0 --key release.key"
)
def start(
    folder: Folder,
    key: Annotated[Path, typer.Option(help="Private key of the release.")],
    as_json: AsJson = False,
) -> None:
    """Say which release engines start with: write aliases.json, signed, beside its versions.

    It counts while no command names a champion. `push` takes it along to a host without one.
    """
    from stream.ops.model import sign_start

    file = sign_start(folder, RELEASE.read_private(key))
    told = {"file": str(file), "champion": folder.name}
    _say(told, f"{file}: engines start with {folder.name}", as_json)


@model_app.command(epilog="Example: tenminute model validate models/onnx/farmer/1.2.0 --json")
def validate(folder: Folder, config: Config = None, as_json: AsJson = False) -> None:
    """Check a model as an engine would before it loads it, and score its golden rows; else exit 4.

    Trusted are the keys of `model_key_files` in the settings.
    """
    from stream.edge.model_folder import trusted_keys
    from stream.ops.model import examine

    found = examine(folder, trusted_keys(load_settings(config)))
    manifest = found.manifest
    told = {
        "model": manifest.model_id,
        "version": manifest.version,
        "segment": manifest.segment.value,
        "manifest_sha256": found.manifest_sha256,
        "signed_by": found.signers,
        "golden_rows": found.golden_rows,
        "golden_off": found.golden_off,
    }
    line = (
        f"{manifest.model_id} {manifest.version}: signed by {', '.join(found.signers)}; "
        f"{found.golden_rows} golden rows, off by {found.golden_off:.1g} at most"
    )
    _say(told, line, as_json)


@model_app.command(epilog="Example: tenminute model push build/farmer/1.2.0 --json")
def push(folder: Folder, config: Config = None, as_json: AsJson = False) -> None:
    """Check a model and copy it beside its other versions under models_dir; it decides nothing yet.

    Do so on every host of the engine before a command names the version.
    """
    from stream.edge.model_folder import trusted_keys
    from stream.edge.registry import put
    from stream.ops.model import examine

    settings = load_settings(config)
    manifest = examine(folder, trusted_keys(settings)).manifest
    new = put(folder, settings.models_dir, manifest.model_id, manifest.version)
    name = f"{manifest.model_id} {manifest.version}"
    target = settings.models_dir / manifest.model_id / manifest.version
    line = f"{name}: in {target}" if new else f"{name}: was in {target} already, the very same"
    _say({"model": manifest.model_id, "version": manifest.version, "new": new}, line, as_json)


@model_app.command("list", epilog="Example: tenminute model list --config tenminute.toml")
def list_models(
    config: Config = None,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the broker.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show every version: who vouches for it, where it stands, which workers follow.

    Commands are read where `control_key_files` says by which keys to tell them.
    """
    from stream.ops.model_list import look, print_rows, rows_of

    settings = load_settings(config, bootstrap=bootstrap)
    read = bool(settings.control_key_files) and not offline
    rows = rows_of(settings, look(settings) if read else None)
    if as_json:
        typer.echo(json.dumps({"commands_read": read, "models": rows}, ensure_ascii=False))
    else:
        print_rows(rows, read=read)


def _say(told: dict[str, Any], line: str, as_json: bool) -> None:
    typer.echo(json.dumps(told) if as_json else line)
