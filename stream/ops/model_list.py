"""What `tenminute model list` shows: versions on disk, who vouches for them, where they stand."""

from __future__ import annotations

from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from stream.config import Settings
from stream.domain.control import Acknowledgement, AckResult
from stream.domain.lineup import Alias
from stream.edge.model_folder import open_model, trusted_keys
from stream.edge.registry import start_of, versions
from stream.errors import ModelError
from stream.ops import control
from stream.ops.control import Seen

_COLUMNS = ("model", "version", "stands as", "since", "by", "workers", "signed by")


class _Stand(NamedTuple):
    """Where a version stands and how that came."""

    place: str
    since: str | None = None
    by: str | None = None
    acks: tuple[Acknowledgement, ...] = ()


def rows_of(settings: Settings, seen: Seen | None) -> list[dict[str, Any]]:
    """One row for each version on disk or in force; `seen` is None where no topic was read."""
    folders = settings.models_dir.glob("*") if settings.models_dir.is_dir() else ()
    models = sorted(path.name for path in folders if versions(settings.models_dir, path.name))
    return [row for model in models for row in _rows(settings, model, seen)]


def look(settings: Settings) -> Seen:
    """What the commands say and who has answered."""
    return control.look(settings, control.trusted_of(settings))


def print_rows(rows: list[dict[str, Any]], *, read: bool) -> None:
    """A table for people."""
    console = Console(soft_wrap=True, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in _COLUMNS:
        table.add_column(name)
    for row in rows:
        workers = [*row["applied"], *(f"{name} refused" for name in row["refused"])]
        table.add_row(
            row["model"], row["version"], row["stands_as"] or "–", row["since"] or "–",
            row["by"] or "–", ", ".join(workers) or "–",
            row["fault"] or ", ".join(row["signed_by"]),
        )  # fmt: skip
    console.print(table)
    if not read:
        console.print("as engines start; commands were not read")


def _rows(settings: Settings, model: str, seen: Seen | None) -> list[dict[str, Any]]:
    stands = _stands(settings, model, seen)
    names = versions(settings.models_dir, model)
    names += [version for version in stands if version not in names]
    return [_row(settings, model, version, stands.get(version)) for version in names]


def _stands(settings: Settings, model: str, seen: Seen | None) -> dict[str, _Stand]:
    """Every version that stands somewhere; the champion's word comes first."""
    found: dict[str, _Stand] = {}
    places = seen.switches.places(model) if seen else {}
    for alias in reversed(Alias):
        placed = places.get(alias)
        change = placed.command.model if placed else None
        if seen is None or placed is None or change is None or change.version is None:
            continue
        share = f" {change.share_bps / 100:g} %" if change.share_bps else ""
        acks = tuple(seen.acks.get(placed.offset, ()))
        command = placed.command
        found[change.version] = _Stand(
            alias.value + share, command.issued_at, command.issued_by, acks
        )
    if seen is None or seen.switches.aliases(model).champion is None:
        starts = start_of(settings.models_dir, model, trusted_keys(settings))
        found[starts.version] = _Stand(Alias.CHAMPION.value)
    return found


def _row(settings: Settings, model: str, version: str, stand: _Stand | None) -> dict[str, Any]:
    try:
        opened = open_model(settings.models_dir / model / version, trusted_keys(settings))
        fault, signers = None, list(opened.signers)
    except ModelError as error:
        fault, signers = error.message, []
    stand = stand or _Stand("")
    newest = {ack.worker: ack for ack in stand.acks}
    return {
        "model": model,
        "version": version,
        "stands_as": stand.place or None,
        "since": stand.since,
        "by": stand.by,
        "applied": sorted(w for w, ack in newest.items() if ack.result is AckResult.APPLIED),
        "refused": {w: ack.why for w, ack in newest.items() if ack.result is AckResult.REFUSED},
        "signed_by": signers,
        "fault": fault,
    }
