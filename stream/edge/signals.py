"""When to stop: a signal, or the end of the parent process."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time

from stream.limits import LEAVE_SECONDS_MAX, REAP_SECONDS

WATCH_PARENT = "TENMINUTE_WATCH_PARENT"
"""Set for children: their standard input is a pipe that ends when the parent does."""


class Stop(threading.Event):
    """Set once when told to end; from then on the one deadline of going runs."""

    def __init__(self, seconds: float = LEAVE_SECONDS_MAX - 2 * REAP_SECONDS) -> None:
        """So many `seconds` from then on; by default what a process below a supervisor has."""
        super().__init__()
        self._seconds, self._by = seconds, math.inf

    def set(self) -> None:
        """Told to end; being told again gives no more time."""
        if not self.is_set():
            self._by = time.monotonic() + self._seconds
        super().set()

    def left(self) -> float:
        """Seconds until all must have ended; infinite before it is set."""
        return self._by - time.monotonic()


def no_hurry() -> float:
    """Infinitely many seconds are left: nothing is being given up."""
    return math.inf


def stop_event(seconds: float = LEAVE_SECONDS_MAX - 2 * REAP_SECONDS) -> Stop:
    """An event set by SIGTERM or SIGINT, which leaves so many `seconds`."""
    stop = Stop(seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


def follow_parent() -> None:
    """Send this process SIGTERM once its parent has ended, however it ended."""
    if os.environ.get(WATCH_PARENT) == "1":
        threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
