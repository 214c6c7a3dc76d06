"""When to stop: a signal, or the end of the parent process."""

from __future__ import annotations

import os
import signal
import sys
import threading

WATCH_PARENT = "TENMINUTE_WATCH_PARENT"
"""Set for children: their standard input is a pipe that ends when the parent does."""


def stop_event() -> threading.Event:
    """An event set by SIGTERM or SIGINT."""
    stop = threading.Event()
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
