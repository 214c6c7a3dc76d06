"""The real worker between ports that kill it with SIGKILL at one named point of one batch.

`CRASH_AT` names the point, `CRASH_BATCH` the mark (header `x-chaos-mark`) of the record whose
batch is the one. Nothing of this is in the engine: its ports and the client below its outlet
are wrapped here. P9 to P11 lie inside one call of the client; a thread beside it strikes
while the request is on its way (P9 after the first of two, P11 after the commit was sent).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from stream.domain.topics import AUDIT, DEAD_LETTERS, DECISIONS
from stream.edge import outlet as edge_outlet
from stream.edge import processes
from stream.ports import Identity, Output, Record
from stream.worker import World

MARKED = "x-chaos-mark"
IN_FLIGHT_SECONDS = 0.0015
WIRE_SECONDS = 0.03
SENDING = ("P3", "P4", "P5", "P6", "P7", "P8")


class Crash:
    """Armed once the marked record has been polled."""

    def __init__(self) -> None:
        self._at, self._batch = os.environ["CRASH_AT"], os.environ["CRASH_BATCH"].encode()
        self.armed = False

    def look(self, records: Sequence[Record]) -> None:
        """Arm when the marked record is among these."""
        self.armed = self.armed or any((MARKED, self._batch) in r.headers for r in records)

    def reach(self, point: str) -> None:
        """Die here when this is the point."""
        if self.armed and point == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def is_next(self, point: str) -> bool:
        """Whether this is the point of the armed batch."""
        return self.armed and point == self._at

    def cut(self, outputs: Sequence[Output]) -> int | None:
        """How many outputs are sent before the end; None when it is not in sending."""
        if not self.armed or self._at not in SENDING:
            return None
        topics = [output.topic for output in outputs]
        if not topics:
            return None
        places = {"P3": DECISIONS, "P6": DEAD_LETTERS, "P7": AUDIT}
        if self._at in places:
            return topics.index(places[self._at]) + 1 if places[self._at] in topics else None
        return {"P4": (len(topics) + 1) // 2, "P5": len(topics), "P8": len(topics) - 1}[self._at]


class CrashingClient:
    """The transactional client, with ends before, in and after its two last calls."""

    def __init__(self, inner: Any, crash: Crash) -> None:
        self._inner, self._crash = inner, crash

    def __getattr__(self, name: str) -> Any:
        """All else is the client's."""
        return getattr(self._inner, name)

    def send_offsets_to_transaction(self, *arguments: Any) -> None:
        """P9 while the two requests are on their way, P10 when both are answered."""
        self._strike_beside("P9")
        self._inner.send_offsets_to_transaction(*arguments)
        self._crash.reach("P10")

    def commit_transaction(self, *arguments: Any) -> None:
        """P11 while the commit is on its way, P12 when it is answered."""
        self._strike_beside("P11")
        self._inner.commit_transaction(*arguments)
        self._crash.reach("P12")

    def _strike_beside(self, point: str) -> None:
        if self._crash.is_next(point):
            threading.Thread(target=self._later, args=(point,), daemon=True).start()

    def _later(self, point: str) -> None:
        time.sleep(IN_FLIGHT_SECONDS)
        self._crash.reach(point)


class Crashing:
    """Any port: calls go through, with something done after (or instead of) the named ones."""

    def __init__(self, inner: Any, **around: Callable[..., Any]) -> None:
        self._inner, self._around = inner, around

    def __getattr__(self, name: str) -> Any:
        """What is wrapped, else what is there."""
        return self._around.get(name) or getattr(self._inner, name)


def wrapped(world: World, crash: Crash) -> World:
    """The world with every port in reach of the crash."""
    inbox, outlets, watcher = world.inbox, world.outlets, world.watcher

    def poll(limit: int, timeout_ms: int) -> list[Record]:
        records = inbox.poll(limit, timeout_ms)
        crash.look(records)
        crash.reach("P0")
        return records

    def identity() -> Identity | None:
        found = inbox.identity()
        crash.reach("P1")
        return found

    def open_slot(slot: int) -> Any:
        outlet = outlets.open(slot)

        def begin() -> None:
            outlet.begin()
            crash.reach("P2")

        def send(outputs: Sequence[Output]) -> None:
            count = crash.cut(outputs)
            outlet.send(outputs if count is None else outputs[:count])
            if count is not None:
                time.sleep(WIRE_SECONDS)
                os.kill(os.getpid(), signal.SIGKILL)

        return Crashing(outlet, begin=begin, send=send)

    def committed(batch: Any) -> None:
        watcher.committed(batch)
        crash.reach("P13")

    return world._replace(
        inbox=Crashing(inbox, poll=poll, identity=identity),
        outlets=Crashing(outlets, open=open_slot),
        watcher=Crashing(watcher, committed=committed),
    )


def main(arguments: list[str]) -> int:
    """As `python -m stream.edge.processes worker INDEX`."""
    crash = Crash()
    open_world, client = processes.open_world, edge_outlet.transactional_producer

    @contextmanager
    def crashing_world(*given: Any) -> Iterator[World]:
        with open_world(*given) as world:
            yield wrapped(world, crash)

    processes.open_world = crashing_world
    edge_outlet.transactional_producer = lambda *given, **extra: CrashingClient(  # type: ignore[assignment]
        client(*given, **extra), crash
    )
    return processes.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
