"""The disk of a host, in memory, behind the same methods as the engine's snapshot files.

What is kept is the engine's own `Snapshot`, as its own bytes; that both keep, replace and refuse
alike is held by `test_snapshot_contract.py`. Whether one may be kept at all, and what it covers, is
decided by the engine's own `EngineWatcher.quiet` and `Settled.is_ours`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from simulation.broker import Broker
from simulation.faults import Fault, NoAnswer
from simulation.kernel import Process

from stream.domain.ledger import Ledger
from stream.domain.topics import DECISIONS, INPUTS
from stream.edge.settled import Settled
from stream.edge.snapshots import FORMAT, Snapshot
from stream.errors import BrokerError
from stream.ports import Place, Positions

Disk = dict[int, bytes]
"""By partition; it outlives the processes of its host."""
_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Snapshot)


class SimSnapshots:
    """See `stream.edge.snapshots.Snapshots`; a write is whole or not there at all."""

    def __init__(
        self, disk: Disk, cluster_id: str = "sim", group_id: str = "sim", partitions: int = 0
    ) -> None:
        self._disk, self._of = disk, (FORMAT, cluster_id, group_id, partitions)

    def keep(self, partition: int, ledger: Ledger, covered: Positions) -> None:
        """In place of an earlier one."""
        offsets = [(topic, p, offset) for (topic, p), offset in covered.items()]
        self._disk[partition] = _encoder.encode(Snapshot(*self._of, offsets, ledger))

    def load(self, partition: int) -> tuple[Ledger, dict[Place, int]] | None:
        """The last one kept, or None when there is none of this group."""
        if partition not in self._disk:
            return None
        found = _decoder.decode(self._disk[partition])
        if (found.format, found.cluster_id, found.group_id, found.partitions) != self._of:
            return None
        return found.ledger, {Place(topic, p): offset for topic, p, offset in found.offsets}


class SimTies:
    """See `stream.edge.watch.Ties`; asked in the order of `stream.edge.settled.ask_settled`."""

    def __init__(self, process: Process, broker: Broker) -> None:
        self._process, self._broker = process, broker

    def settled(self, partitions: Sequence[int]) -> Settled:
        """Ends below which nothing is open, then what the group has committed."""
        broker = self._broker
        decisions = [Place(DECISIONS, p) for p in partitions]
        inputs = [Place(topic, p) for topic in INPUTS for p in partitions]
        try:
            ends = broker.call(
                self._process, "ends", lambda: {place: self._end(place) for place in decisions}
            )
            committed = broker.call(
                self._process, "fetch offsets", lambda: broker.group.committed(inputs)
            )
        except (Fault, NoAnswer):
            raise BrokerError("no answer about what is settled", fix="none") from None
        return Settled(ends, committed)

    def left(self) -> float:
        """Nobody waits for a worker here."""
        return math.inf

    def _end(self, place: Place) -> int:
        return self._broker.logs[place].stable
