"""A thread beside the loop that commits while the loop prepares the next batch.

A commit bounds its own time, but librdkafka does not always keep the bound it is
given: the call that sends the offsets does not look at its time-out while it
searches the group's coordinator (its issue 5456). So the wait is bounded here
too. The thread that hangs is left behind with its producer, and the next commit
gets a new one; what it may still do is refused by the broker, since the remedy's
new producer fences it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait

from stream.edge.signals import no_hurry
from stream.errors import Remedy, TransactionError
from stream.limits import COMMIT_SECONDS_MAX, STUCK_SECONDS

_Errand = tuple[Future[None], Callable[[], None]]
_SLICE_SECONDS = 0.1
"""A signal during the wait shortens it: looked at this often."""


class Committing:
    """A commit under way."""

    def __init__(
        self, future: Future[None], left: Callable[[], float], abandon: Callable[[], None]
    ) -> None:
        self._future, self._left, self._abandon = future, left, abandon

    def wait(self) -> None:
        """Return when it has ended; raises what it raised, or that it hangs."""
        while not wait([self._future], max(0.0, min(_SLICE_SECONDS, self._left()))).done:
            if self._left() <= 0:
                self._abandon()
                raise TransactionError(Remedy.RECREATE, "commit_stuck")
        self._future.result()


class ThreadLane:
    """One thread, so what is submitted runs in order; another one after a hang."""

    def __init__(
        self,
        commit_seconds: float = COMMIT_SECONDS_MAX,
        left: Callable[[], float] = no_hurry,
    ) -> None:
        """A commit hangs when it has taken `STUCK_SECONDS` longer than it was to.

        It is waited for no longer than is `left` to let go of everything.
        """
        self._seconds, self._left = commit_seconds + STUCK_SECONDS, left
        self._errands: queue.SimpleQueue[_Errand] | None = None

    def submit(self, work: Callable[[], None]) -> Committing:
        """Start the work once everything submitted earlier has ended or been left behind."""
        if self._errands is None:
            self._errands = queue.SimpleQueue()
            # A daemon: a thread that hangs must not keep the process from ending.
            threading.Thread(target=_run, args=(self._errands,), name="commit", daemon=True).start()
        future: Future[None] = Future()
        self._errands.put((future, work))
        begun = time.monotonic()

        def left() -> float:
            return min(self._left(), begun + self._seconds - time.monotonic())

        return Committing(future, left, self._abandon)

    def _abandon(self) -> None:
        self._errands = None


def _run(errands: queue.SimpleQueue[_Errand]) -> None:
    """Do what comes, for as long as the process lives."""
    while True:
        future, work = errands.get()
        try:
            work()
        except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
            future.set_exception(error)
        else:
            future.set_result(None)
        # Work and what it raised hold a producer, which must not wait here for the next batch.
        del future, work
