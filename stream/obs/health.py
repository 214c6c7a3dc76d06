"""What each process says of itself: a small file, replaced whole, read by the supervisor."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

STALLED_SECONDS = 30.0
"""A process that has not gone round its loop for this long is not live; a batch takes under 1 s."""


class Health(msgspec.Struct, frozen=True):
    """State of one process: `starting`, `running` or `draining`, and when it last progressed."""

    process: str
    pid: int
    state: str
    ready: bool
    progress_at: float
    detail: str = ""


class HealthFile:
    """One process's health file."""

    def __init__(self, folder: Path, process: str, pid: int) -> None:
        """Keep the file `<process>.json` under `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{process}.json"
        self._process, self._pid = process, pid
        self._written_at = 0.0
        self._last = ("", False, "")

    def say(self, state: str, *, ready: bool, detail: str = "") -> None:
        """Write at once when something changed, else at most once a second."""
        now = time.time()
        what = (state, ready, detail)
        if what == self._last and now - self._written_at < 1.0:
            return
        health = Health(self._process, self._pid, state, ready, now, detail)
        temporary = self._path.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.encode(health))
        temporary.replace(self._path)
        self._written_at, self._last = now, what


def read_health(folder: Path) -> list[Health]:
    """Every process's last word; empty before the first."""
    paths = sorted(folder.glob("*.json"))
    return [msgspec.json.decode(path.read_bytes(), type=Health) for path in paths]
