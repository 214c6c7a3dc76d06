"""A policy file with chosen cut-offs and bands in place of its own, all else as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tomlkit
from tomlkit.items import Array, InlineTable

from stream.errors import ConfigError
from stream.lab.cutoff import Band, Choice
from stream.policy.load import parse_policy


def rewritten(raw: bytes, choices: Sequence[Choice], policy_id: str, path: Path) -> bytes:
    """The policy in `raw` under a new id; comments stay, and it passes `policy check`."""
    document = tomlkit.parse(raw.decode())
    document["policy_id"] = policy_id
    for choice in choices:
        assert choice.chosen is not None, "only what keeps the budget is written"
        segment = document["segments"][choice.segment.value]
        segment["cut_off_points"] = choice.chosen.cut_off_points
        segment["bands"] = _bands(choice.bands)
    text = tomlkit.dumps(document).encode()
    parse_policy(text, path)
    return text


def write_policy(path: Path, text: bytes, *, force: bool) -> None:
    """Write the file; ConfigError where one is already there and nobody said `--force`."""
    try:
        with path.open("wb" if force else "xb") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(
            f"{path}: is already there and was left as it is",
            fix="name another file, or replace it with --force",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror}", fix="check the path"
        ) from error


def _bands(bands: Sequence[Band]) -> Array:
    found = tomlkit.array().multiline(True)
    for band in bands:
        found.append(_band(band))
    return found


def _band(band: Band) -> InlineTable:
    table = tomlkit.inline_table()
    table.update(
        name=band.name,
        points_from=band.points_from,
        points_to=band.points_to,
        limit_fen=tomlkit.integer(band.limit_fen),
    )
    return table
