"""Records of several partitions in the order of their time, as if they had been written to one.

Windows of drift are cut out of this order. A reader that catches up gets whole
stretches of one partition at a time; cut as they come, its windows would be other
ones than those of a reader that was there. So a record waits until every other
partition has shown what it has next, or that it has nothing more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from stream.ports import Record

WAITING_MAX = 2_000
"""Records of one partition that wait for others; beyond, it should not be read further."""


class Merge:
    """Takes records of known partitions, each in the order of offsets; hands out all by time."""

    def __init__(self, partitions: Iterable[int]) -> None:
        """No partition has shown anything yet."""
        self._waiting: dict[int, deque[Record]] = {number: deque() for number in partitions}
        self._ended: set[int] = set()
        self.caught_up = not self._waiting
        """Whether every partition has been at its end once."""

    def take(self, record: Record) -> None:
        """The next record of its partition."""
        self._waiting[record.partition].append(record)
        self._ended.discard(record.partition)

    def ended(self, partition: int) -> None:
        """The partition has nothing more for now; the next record of another need not wait."""
        self._ended.add(partition)
        self.caught_up = self.caught_up or len(self._ended) == len(self._waiting)

    def ready(self) -> Iterator[Record]:
        """Records whose turn has come."""
        while any(self._waiting.values()):
            known = {number for number, queue in self._waiting.items() if queue}
            if known | self._ended != self._waiting.keys():
                return
            first = min(known, key=lambda number: (self._waiting[number][0].timestamp_ms, number))
            yield self._waiting[first].popleft()

    def full(self) -> set[int]:
        """Partitions to be read no further until their records have had their turn."""
        return {number for number, queue in self._waiting.items() if len(queue) >= WAITING_MAX}
