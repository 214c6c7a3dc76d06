"""`tenminute model`: sign and check models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from stream.config import load_settings
from stream.edge.key_pairs import RELEASE

model_app = typer.Typer(
    no_args_is_help=True,
    help="Sign models, check them, and say which one decides.",
    epilog="Example: tenminute model validate models/onnx/farmer/1.1.0",
)
Config = Annotated[Path | None, typer.Option(help="Settings file.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document for machines.")]
Folder = Annotated[Path, typer.Argument(help="Folder of the model: .../<model>/<version>.")]


@model_app.command(epilog="Example: tenminute model keygen /secure/release")
def keygen(folder: Annotated[Path, typer.Argument(help="Folder of the new pair.")]) -> None:
    """Make a release's key pair: one file signs models, the other is what engines trust."""
    private_file, public_file, name = RELEASE.make(folder)
    typer.echo(f"{private_file}: signs models; keep it with those who release them")
    typer.echo(f'{public_file}: key {name}; on every engine, model_key_files = ["{public_file}"]')


@model_app.command(
    epilog="Example: tenminute model sign models/onnx/farmer/1.1.0 --key release.key"
)
def sign(
    folder: Folder,
    key: Annotated[Path, typer.Option(help="Private key of the release.")],
    add: Annotated[bool, typer.Option("--add", help="Keep the signatures that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Vouch for a model: write manifest.sig, once its files agree with each other."""
    from stream.ops.model import sign_folder

    signer = sign_folder(folder, RELEASE.read_private(key), add=add)
    _say({"folder": str(folder), "signed_by": signer}, f"{folder}: signed by {signer}", as_json)


@model_app.command(epilog="Example: tenminute model validate models/onnx/farmer/1.1.0 --json")
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


def _say(told: dict[str, Any], line: str, as_json: bool) -> None:
    typer.echo(json.dumps(told) if as_json else line)
