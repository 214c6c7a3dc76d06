"""The transaction coordinator, as brokers run it for clients before KIP-890 part 2.

The epoch changes when a producer is initialised or a transaction times out,
and not from one transaction to the next: a late EndTxn of the same epoch ends
whatever transaction is open when it arrives.
"""

from __future__ import annotations

from collections.abc import Callable

from simulation.faults import Fault, Weather
from simulation.kernel import Kernel

from stream.ports import Place

EMPTY, ONGOING, PREPARED, COMPLETE = "empty", "ongoing", "prepared", "complete"
TIMEOUT_MS = 6_000
"""How long a transaction may stay open; virtual, so short."""

Marker = Callable[[Place, int, int, bool], None]


class Transaction:
    """What the coordinator knows of one transactional id."""

    def __init__(self, producer: int) -> None:
        self.producer, self.epoch = producer, -1
        self.state, self.commit = EMPTY, False
        self.places: dict[Place, None] = {}
        self.number = 0
        self.unmarked = 0


class Coordinator:
    """All transactional ids."""

    def __init__(
        self, kernel: Kernel, weather: Weather, mark: Marker, witness: Callable[[int], None]
    ) -> None:
        """`mark` writes a marker; `witness` sees which producer's transaction will commit."""
        self._kernel, self._weather = kernel, weather
        self._mark, self._witness = mark, witness
        self._by_id: dict[str, Transaction] = {}
        self._by_producer: dict[int, Transaction] = {}

    def init(self, transactional_id: str) -> tuple[int, int]:
        """A new epoch; an open transaction is aborted first, and the caller asks again."""
        found = self._by_id.get(transactional_id)
        if found is None:
            found = self._by_id[transactional_id] = Transaction(len(self._by_id))
            self._by_producer[found.producer] = found
        if found.state == ONGOING:
            found.epoch += 1
            self._kernel.count("open transaction fenced")
            self._end(found, commit=False)
        if found.state == PREPARED:
            raise Fault("CONCURRENT_TRANSACTIONS")
        found.epoch += 1
        found.state, found.places = EMPTY, {}
        return found.producer, found.epoch

    def add(self, producer: int, epoch: int, places: list[Place]) -> None:
        """Take places into the transaction, which opens with the first."""
        found = self._current(producer, epoch)
        if found.state == PREPARED:
            raise Fault("CONCURRENT_TRANSACTIONS")
        if found.state != ONGOING:
            found.state, found.places = ONGOING, {}
            found.number += 1
            self._kernel.after(TIMEOUT_MS, self._expire, found, found.number)
        found.places.update(dict.fromkeys(places))

    def end(self, producer: int, epoch: int, *, commit: bool) -> None:
        """EndTxn: decided once the answer is out; the markers follow."""
        found = self._current(producer, epoch)
        if found.state == ONGOING:
            self._end(found, commit=commit)
        elif found.state == EMPTY or found.commit != commit:
            raise Fault("INVALID_TXN_STATE")
        elif found.state == PREPARED:
            raise Fault("CONCURRENT_TRANSACTIONS")

    def check(self, producer: int, epoch: int, place: Place) -> None:
        """Refuse a write to a place that is not in the producer's open transaction."""
        found = self._current(producer, epoch)
        if found.state != ONGOING or place not in found.places:
            raise Fault("INVALID_TXN_STATE")

    def all_ended(self) -> bool:
        """Whether no transaction is open anywhere."""
        return all(each.state not in {ONGOING, PREPARED} for each in self._by_id.values())

    def _current(self, producer: int, epoch: int) -> Transaction:
        found = self._by_producer[producer]
        if epoch != found.epoch:
            raise Fault("PRODUCER_FENCED")
        return found

    def _expire(self, found: Transaction, number: int) -> None:
        if found.state == ONGOING and found.number == number:
            self._kernel.count("transaction timed out")
            found.epoch += 1
            self._end(found, commit=False)

    def _end(self, found: Transaction, *, commit: bool) -> None:
        if commit:
            self._witness(found.producer)
        found.state, found.commit = PREPARED, commit
        places = list(found.places)
        found.unmarked = len(places)
        for place in places:
            slow = self._kernel.chance(self._weather.of["slow_marker"])
            delay_ms = self._kernel.between(1, 1_500 if slow else 4)
            self._kernel.after(delay_ms, self._marked, found, place, found.epoch)

    def _marked(self, found: Transaction, place: Place, epoch: int) -> None:
        self._mark(place, found.producer, epoch, found.commit)
        found.unmarked -= 1
        if found.unmarked == 0:
            found.state = COMPLETE
