"""Classic mistakes, planted one at a time: a simulation that finds none of them proves nothing.

Each is a small change to one port, as a careless adapter or a missing guard
would make it; the loop above stays the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from simulation.broker import Broker
from simulation.group import NOBODY
from simulation.inbox import SimInbox
from simulation.kernel import Process
from simulation.ledgers import SimLedgers
from simulation.outlet import SimOutlet, SimOutlets
from simulation.world import Parts

from stream.domain.ledger import Ledger
from stream.errors import Remedy, TransactionError
from stream.ports import Identity, Ledgers, Outlets, Output, Place, Positions


class NoProof(SimOutlet):
    """Offsets are sent without saying who we are, as clients before KIP-447 do."""

    def commit(self, positions: Positions, identity: Identity) -> None:
        """Nobody's offsets are not checked."""
        super().commit(positions, Identity("", NOBODY))


class OffsetsFirst(SimOutlet):
    """Offsets are committed before what they stand for is produced."""

    def send(self, outputs: Sequence[Output]) -> None:
        """Only remember."""
        self._waiting.extend(outputs)

    def commit(self, positions: Positions, identity: Identity) -> None:
        """Two transactions, in the wrong order."""
        later, self._waiting = self._waiting, []
        super().commit(positions, identity)
        self.begin()
        self._waiting = later
        super().commit({}, identity)


class AckInFinally(SimOutlet):
    """Whatever became of the batch, its offsets are committed, as Faust's agents do."""

    def commit(self, positions: Positions, identity: Identity) -> None:
        """The failure is still reported."""
        try:
            super().commit(positions, identity)
        except TransactionError:
            with suppress(TransactionError):
                self.abort()
                self.begin()
                super().commit(positions, identity)
            raise


class RetriedEnd(SimOutlet):
    """An EndTxn without an answer is sent again on the same epoch."""

    def ask(self, kind: str, handle: Callable[[], Any]) -> Any:
        """Three times."""
        for _ in range(3):
            try:
                return super().ask(kind, handle)
            except TransactionError as error:
                if kind != "end" or error.remedy is not Remedy.RECREATE:
                    raise
        return super().ask(kind, handle)


class LateIdentity(SimOutlet):
    """The identity is the client's at the commit, not the batch's; reset, it is nobody's."""

    inbox: SimInbox

    def stage(self, positions: dict[Place, int], token: object) -> None:
        """Whoever we are by now."""
        super().stage(positions, self.inbox.token)


class Forgetful(SimLedgers):
    """Recovery brings back everything but the ids that were answered."""

    def restore(self, partitions: Sequence[int], consumed: Positions) -> dict[int, Ledger]:
        """No id is known."""
        ledgers = super().restore(partitions, consumed)
        for ledger in ledgers.values():
            ledger.answered.clear()
        return ledgers


class WithOutlet(Parts):
    """A worker whose producers are of another make."""

    def __init__(self, outlet: type[SimOutlet]) -> None:
        self._outlet = outlet

    def outlets(self, process: Process, broker: Broker, name: str, inbox: SimInbox) -> Outlets:
        """Producers that may look at the consumer, which is what is wrong with them."""

        def made(process: Process, broker: Broker, producer: int, epoch: int) -> SimOutlet:
            outlet = self._outlet(process, broker, producer, epoch)
            if isinstance(outlet, LateIdentity):
                outlet.inbox = inbox
            return outlet

        return SimOutlets(process, broker, name, made)


class WithForgetfulLedgers(Parts):
    """A worker that forgets ids whenever it recovers."""

    def ledgers(self, process: Process, broker: Broker) -> Ledgers:
        """Forgetful ones."""
        return Forgetful(process, broker)


PLANTED: dict[str, Parts] = {
    "drop the fencing check": WithOutlet(NoProof),
    "commit before produce": WithOutlet(OffsetsFirst),
    "forget dedupe": WithForgetfulLedgers(),
    "ack in finally": WithOutlet(AckInFinally),
    "snapshot identity late": WithOutlet(LateIdentity),
    "retry EndTxn on the same epoch": WithOutlet(RetriedEnd),
}
