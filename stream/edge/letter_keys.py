"""The key files that seal and open dead letters."""

from __future__ import annotations

import stat
from pathlib import Path

from stream.codec.seal import Sealer, Sealers, new_key, parse_key
from stream.config import Settings
from stream.errors import ConfigError

_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP
"""Group members may read, as secrets mounted into a container are; everybody else may nothing."""


def read_sealer(settings: Settings) -> Sealer | None:
    """What seals new dead letters; None where no key is configured."""
    file = settings.dead_letter_key_file
    return sealer_of(file) if file is not None else None


def read_sealers(settings: Settings) -> Sealers:
    """Every key at hand, the present and the older ones, by key id."""
    present = settings.dead_letter_key_file
    files = [*([present] if present else []), *settings.dead_letter_old_key_files]
    return {sealer.key_id: sealer for sealer in map(sealer_of, files)}


def sealer_of(file: Path) -> Sealer:
    """The sealer of one key file; ConfigError where it is missing, malformed or open to others."""
    try:
        mode = file.stat().st_mode
        if mode & _TOO_OPEN:
            raise ConfigError(
                f"dead-letter key {file} is open to others (mode {stat.S_IMODE(mode):04o})",
                fix=f"chmod 600 {file}",
            )
        return Sealer(parse_key(file.read_text(encoding="ascii")))
    except OSError as error:
        raise ConfigError(
            f"dead-letter key {file}: {error.strerror}", fix="make one: tenminute dlq key FILE"
        ) from None
    except ValueError as error:
        # A decoding error would quote the file's bytes.
        what = "not text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ConfigError(
            f"dead-letter key {file}: {what}", fix="make one: tenminute dlq key FILE"
        ) from None


def write_key(file: Path) -> Sealer:
    """Write a fresh key, readable by its owner only; never over what is there."""
    key = new_key()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(f"{key.hex()}\n", encoding="ascii")
    except FileExistsError:
        raise ConfigError(
            f"{file} is there already", fix="name a new file; an old key still opens old letters"
        ) from None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", fix="name a writable folder") from None
    return Sealer(key)
