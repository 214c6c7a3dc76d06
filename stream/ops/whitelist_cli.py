"""`tenminute whitelist`: look into the store of this host, copy it, put a copy back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from stream.config import load_settings
from stream.errors import ConfigError
from stream.ops.options import AsJson, Config

whitelist_app = typer.Typer(
    no_args_is_help=True, help="The whitelist store: stats, get, diff, snapshot, restore, verify."
)
Snapshot = Annotated[Path, typer.Argument(help="Snapshot file.")]
Version = Annotated[Path, typer.Argument(help="Snapshot file, or a store's folder.")]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _show(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        shown = f"{value:,}" if isinstance(value, int) else str(value)
        typer.echo(f"{name.replace('_', ' '):18} {shown}")


@whitelist_app.command(epilog="Example: tenminute whitelist stats --plot whitelist.svg")
def stats(
    config: Config = None,
    plot: Annotated[Path | None, typer.Option(help="Draw limits and grades as SVG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Count the offers by segment, grade, limit and list version."""
    from stream.ops import whitelist

    found = whitelist.stats(load_settings(config).store_dir, _now_ms())
    if plot is not None:
        plot.write_text(_plotter()(found), encoding="utf-8")
    _show(found, as_json=as_json)


def _plotter() -> Any:  # noqa: ANN401
    try:
        from stream.ops.whitelist_plot import whitelist_svg
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--plot needs the package {error.name}", fix="pip install 'ten-minute-loan[demo]'"
        ) from None
    return whitelist_svg


@whitelist_app.command(
    epilog="Example: tenminute whitelist get a1_0123456789abcdef0123456789abcdef"
)
def get(
    token: Annotated[str, typer.Argument(help="Applicant token.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show one customer's standing offer."""
    import msgspec

    from stream.edge.lmdb_store import StoreReader

    with StoreReader(load_settings(config).store_dir) as store, store.reading() as views:
        entry = views.whitelist(token) if token else None
    if entry is None:
        raise ConfigError("no offer stands for that token", fix="check it, and what screening said")
    _show(msgspec.to_builtins(entry), as_json=as_json)


@whitelist_app.command(epilog="Example: tenminute whitelist diff v1.snapshot v2.snapshot")
def diff(old: Version, new: Version, as_json: AsJson = False) -> None:
    """Compare two versions of the list: who came, who left, whose offer changed."""
    from stream.ops import whitelist

    _show(whitelist.diff(old, new), as_json=as_json)


@whitelist_app.command(epilog="Example: tenminute whitelist snapshot v1.snapshot")
def snapshot(file: Snapshot, config: Config = None, as_json: AsJson = False) -> None:
    """Copy the store, with its topic offsets, while the engine goes on."""
    import msgspec

    from stream.edge.store_snapshot import take_snapshot

    found = take_snapshot(load_settings(config).store_dir, file, _now_ms())
    _show(msgspec.to_builtins(found), as_json=as_json)


@whitelist_app.command(epilog="Example: tenminute whitelist restore v1.snapshot")
def restore(file: Snapshot, config: Config = None, as_json: AsJson = False) -> None:
    """Start a new host's store from a snapshot; the keeper then reads the rest."""
    import msgspec

    from stream.edge.store_snapshot import restore_snapshot
    from stream.ops.whitelist import verify_store

    settings = load_settings(config)
    found = restore_snapshot(file, settings.store_dir, _now_ms(), _retention_ms(), verify_store)
    _show(msgspec.to_builtins(found), as_json=as_json)


def _retention_ms() -> int:
    """The shortest time for which the store's topics keep tombstones, as declared."""
    from stream.edge.lmdb_store import TOPICS as FED_FROM
    from stream.ops.topics import TOPICS

    declared = {topic.name: topic.configs for topic in TOPICS}
    return min(int(declared[name]["delete.retention.ms"]) for name in FED_FROM)


@whitelist_app.command(epilog="Example: tenminute whitelist verify --json")
def verify(config: Config = None, as_json: AsJson = False) -> None:
    """Read every record of the store; say which is damaged."""
    from stream.ops.whitelist import verify_store

    _show(verify_store(load_settings(config).store_dir), as_json=as_json)
