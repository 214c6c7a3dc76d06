"""A thread beside the loop that commits while the loop prepares the next batch."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Committing:
    """A commit under way."""

    def __init__(self, future: Future[None]) -> None:
        self._future = future

    def wait(self) -> None:
        """Return when it has ended; raises what it raised. The commit bounds its own time."""
        self._future.result()


class ThreadLane:
    """One thread, so what is submitted runs in order."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit")

    def submit(self, work: Callable[[], None]) -> Committing:
        """Start the work once everything submitted earlier has ended."""
        return Committing(self._pool.submit(work))
