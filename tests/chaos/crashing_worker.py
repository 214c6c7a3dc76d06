"""The real worker between ports that kill it with SIGKILL at one named point of one batch.

Nothing of this is in the engine: its ports and the client below its outlet are wrapped here, and
its connections go through a proxy in this process. Where exactly a point is: `chaos.striking`.
`CRASH_UPSTREAM` is the broker behind the proxy, whose port is that of the bootstrap setting.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chaos.striking import Strike, StrikingProxy, end_at_once

from stream.config import load_settings
from stream.edge import outlet as edge_outlet
from stream.edge import processes
from stream.ports import Identity, Output, Positions, Record
from stream.world import World

FLUSH_SECONDS = 30.0


class StrikingClient:
    """The transactional client, with ends behind its two last calls."""

    def __init__(self, inner: Any, strike: Strike) -> None:
        self._inner, self._strike = inner, strike

    def __getattr__(self, name: str) -> Any:
        """All else is the client's."""
        return getattr(self._inner, name)

    def send_offsets_to_transaction(self, *arguments: Any) -> None:
        """P10 when both requests of this are answered; P9 is between them."""
        self._inner.send_offsets_to_transaction(*arguments)
        self._strike.done("P10", "offsets added")

    def commit_transaction(self, *arguments: Any) -> None:
        """P12 when it is answered."""
        self._inner.commit_transaction(*arguments)
        self._strike.done("P12", "committed")


class Striking:
    """Any port: calls go through, with something done around the named ones."""

    def __init__(self, inner: Any, **around: Callable[..., Any]) -> None:
        self._inner, self._around = inner, around

    def __getattr__(self, name: str) -> Any:
        """What is wrapped, else what is there."""
        return self._around.get(name) or getattr(self._inner, name)


def wrapped(world: World, strike: Strike) -> World:
    """The world with every port in reach of the strike."""
    inbox, outlets, watcher = world.inbox, world.outlets, world.watcher

    def poll(limit: int, timeout_ms: int) -> list[Record]:
        records = inbox.poll(limit, timeout_ms)
        strike.look(records)
        return records

    def identity() -> Identity | None:
        found = inbox.identity()
        strike.reach("P1", "identified")
        return found

    def committed(batch: Any) -> None:
        watcher.committed(batch)
        strike.applied()

    return world._replace(
        inbox=Striking(inbox, poll=poll, identity=identity),
        outlets=Striking(outlets, open=lambda slot: striking_outlet(outlets.open(slot), strike)),
        watcher=Striking(watcher, committed=committed),
    )


def striking_outlet(outlet: Any, strike: Strike) -> Any:
    """A producer that may end its worker."""

    def begin() -> None:
        outlet.begin()
        strike.reach("P2", "begun")

    def send(outputs: Sequence[Output]) -> None:
        count = strike.cut(outputs)
        outlet.send(outputs if count is None else outputs[:count])
        if count is not None:
            # The broker has answered for each, so what was sent is what the topics hold.
            left = outlet._client.flush(FLUSH_SECONDS)
            assert not left, f"{left} records without an answer"
        strike.sent(partly=count is not None)

    def commit(positions: Positions, identity: Identity) -> None:
        strike.commits(positions)
        outlet.commit(positions, identity)

    return Striking(outlet, begin=begin, send=send, commit=commit)


def main(arguments: list[str]) -> int:
    """As `python -m stream.edge.processes worker INDEX`."""
    strike = Strike(os.environ, end_at_once)
    open_world, client = processes.open_world, edge_outlet.transactional_producer

    @contextmanager
    def striking_world(*given: Any) -> Iterator[World]:
        with open_world(*given) as world:
            yield wrapped(world, strike)

    processes.open_world = striking_world
    edge_outlet.transactional_producer = lambda *given, **extra: StrikingClient(  # type: ignore[assignment]
        client(*given, **extra), strike
    )
    port = int(load_settings().bootstrap.rpartition(":")[2])
    with StrikingProxy(port, os.environ["CRASH_UPSTREAM"], strike):
        return processes.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
