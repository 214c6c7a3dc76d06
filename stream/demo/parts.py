"""The processes of the demo: started together, ended together, none left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from stream.config import Settings, as_environment
from stream.edge.lmdb_store import StoreReader
from stream.edge.processes import topic_ends
from stream.edge.signals import WATCH_PARENT
from stream.errors import BrokerError, FatalError
from stream.limits import LEAVE_SECONDS_MAX

END_SECONDS_MAX = LEAVE_SECONDS_MAX + 2.0
"""What an engine has to end; two more and the process is killed."""

LOG_TAIL_LINES = 3


class Parts:
    """Child processes of `tenminute`, each logging to a file of its own."""

    def __init__(self, settings: Settings, log_dir: Path) -> None:
        """Hand `settings` to every child through its environment."""
        log_dir.mkdir(parents=True, exist_ok=True)
        self._log_dir = log_dir
        self._environment = {**os.environ, WATCH_PARENT: "1", **as_environment(settings)}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str) -> None:
        """Start `tenminute NAME ARGUMENTS`."""
        with (self._log_dir / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "stream", name, *arguments],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # A Ctrl-C reaches the demo alone, which then ends the parts in order.
                start_new_session=True,
            )

    def check(self) -> None:
        """FatalError with the last lines of its log when a part has ended by itself."""
        for name, part in self._running.items():
            if part.poll() is not None:
                raise FatalError(
                    f"{name} ended with {part.returncode}: {self._last_words(name)}",
                    fix=f"read {self._log_dir / name}.log",
                )

    def stop(self) -> None:
        """End every part, the last started first."""
        for part in reversed(self._running.values()):
            part.terminate()
        deadline = time.monotonic() + END_SECONDS_MAX
        for part in self._running.values():
            try:
                part.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                part.kill()
                part.wait()
            if part.stdin:
                part.stdin.close()
        self._running.clear()

    def _last_words(self, name: str) -> str:
        lines = (self._log_dir / f"{name}.log").read_text(errors="replace").splitlines()
        return " | ".join(lines[-LOG_TAIL_LINES:])

    def __enter__(self) -> Self:
        """Hand out the parts, none started."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End whatever runs."""
        self.stop()


def get(settings: Settings, path: str) -> tuple[int, bytes]:
    """Status and body of one of the engine's pages; 0 while nothing listens."""
    url = f"http://{settings.metrics_host}:{settings.metrics_port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def counter(page: bytes, name: str) -> int:
    """Sum of a counter over its labels on a metrics page."""
    lines = page.decode().splitlines()
    own = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in own))


def await_ready(settings: Settings, parts: Parts, seconds: float) -> None:
    """Wait until the engine is ready and its store holds what its topics hold now.

    An engine started on empty topics is ready with an empty store; people published since then
    must have arrived, or their applications are referred as not listed. BrokerError when late.
    """
    deadline = time.monotonic() + seconds
    _, ends = topic_ends(settings)
    while get(settings, "/readyz")[0] != 200 or not _holds(settings, ends):
        parts.check()
        if time.monotonic() > deadline:
            raise BrokerError(f"the engine is not ready after {seconds:.0f} s", fix="see its log")
        time.sleep(0.1)


def _holds(settings: Settings, ends: dict[tuple[str, int], int]) -> bool:
    with StoreReader(settings.store_dir) as store:
        held = store.offsets()
    return all(held.get(place, 0) >= end for place, end in ends.items())
