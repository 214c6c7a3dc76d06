"""Says every second how far a scenario is, from a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Self

from chaos.faults import Faults
from chaos.monitor import Monitor

Say = Callable[[str], None]
SAY_SECONDS = 1.0


class Progress:
    """A context manager; `phase` is what is being done now."""

    def __init__(self, say: Say, monitor: Monitor, faults: Faults) -> None:
        self.phase = ""
        self._say, self._monitor, self._faults = say, monitor, faults
        self._began = time.monotonic()
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Begin to say."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Fall silent."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(SAY_SECONDS):
            faults, seconds = self._faults, time.monotonic() - self._began
            self._say(
                f"{self.phase}: fault {faults.done} of {faults.planned}, "
                f"{self._monitor.decisions:,} decided, {seconds:.0f} s"
            )
