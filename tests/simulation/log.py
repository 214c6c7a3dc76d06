"""A partition's log as a broker keeps it: data and control records, and what is stable."""

from __future__ import annotations

from collections.abc import Sequence

from simulation.faults import Fault

from stream.ports import Output

OPEN, COMMITTED, ABORTED, CONTROL = "open", "committed", "aborted", "control"


class Entry:
    """One offset of the log."""

    __slots__ = ("output", "producer", "state", "timestamp_ms")

    def __init__(self, output: Output | None, producer: int, state: str, timestamp_ms: int) -> None:
        self.output, self.producer = output, producer
        self.state, self.timestamp_ms = state, timestamp_ms


class Log:
    """One partition."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._open: dict[int, int] = {}
        self._epochs: dict[int, int] = {}
        self._sequences: dict[int, int] = {}

    @property
    def end(self) -> int:
        """The offset after the last record, open transactions included."""
        return len(self.entries)

    @property
    def stable(self) -> int:
        """The last stable offset: before it no transaction is open."""
        return min(self._open.values()) if self._open else len(self.entries)

    def append(self, outputs: Sequence[Output], now_ms: int) -> None:
        """Records of a producer without transactions."""
        self.entries.extend(Entry(output, -1, COMMITTED, now_ms) for output in outputs)

    def append_open(
        self, producer: int, epoch: int, sequence: int, outputs: Sequence[Output], now_ms: int
    ) -> None:
        """Records of an open transaction; what was appended before is not appended again."""
        self.check_epoch(producer, epoch)
        expected = self._sequences.get(producer, 0)
        if sequence + len(outputs) <= expected:
            return
        if sequence != expected:
            raise Fault("OUT_OF_ORDER_SEQUENCE_NUMBER")
        self._sequences[producer] = sequence + len(outputs)
        self._open.setdefault(producer, self.end)
        self.entries.extend(Entry(output, producer, OPEN, now_ms) for output in outputs)

    def holds_open(self, producer: int) -> bool:
        """Whether the producer's open transaction has records here."""
        return producer in self._open

    def check_epoch(self, producer: int, epoch: int) -> None:
        """Refuse an epoch older than one seen here; a new one starts its numbers afresh."""
        known = self._epochs.get(producer, -1)
        if epoch < known:
            raise Fault("INVALID_PRODUCER_EPOCH")
        if epoch > known:
            self._epochs[producer] = epoch
            self._sequences[producer] = 0

    def mark(self, producer: int, epoch: int, *, commit: bool, now_ms: int) -> None:
        """End the producer's transaction here with a control record."""
        first = self._open.pop(producer, None)
        if first is not None:
            for entry in self.entries[first:]:
                if entry.producer == producer and entry.state == OPEN:
                    entry.state = COMMITTED if commit else ABORTED
        self.entries.append(Entry(None, producer, CONTROL, now_ms))
        if epoch > self._epochs.get(producer, -1):
            self._epochs[producer] = epoch
            self._sequences[producer] = 0

    def read(self, position: int, limit: int) -> tuple[list[tuple[int, Entry]], int]:
        """Up to `limit` committed records from `position`, and where to go on."""
        found: list[tuple[int, Entry]] = []
        stable = self.stable
        while position < stable and len(found) < limit:
            entry = self.entries[position]
            if entry.state == COMMITTED:
                found.append((position, entry))
            position += 1
        return found, position

    def committed(self) -> list[tuple[int, Entry]]:
        """Every committed record with its offset."""
        return [(n, entry) for n, entry in enumerate(self.entries) if entry.state == COMMITTED]

    def newest(self) -> int:
        """The offset of the last committed record; -1 when there is none."""
        offsets = range(len(self.entries) - 1, -1, -1)
        return next((n for n in offsets if self.entries[n].state == COMMITTED), -1)
