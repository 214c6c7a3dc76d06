"""Everything a worker touches, as one value, and who hears what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from stream.batch import Batch
from stream.domain.control import Switches
from stream.domain.ledger import Ledger
from stream.errors import TenMinuteError, TransactionError
from stream.ports import Clock, Inbox, Lane, Ledgers, Outlets, Positions, Store


class Watcher(Protocol):
    """Hears what the loop does: metrics, logs, health and snapshots hang here."""

    def mark(self, stage: str) -> None:
        """A stage of the batch has ended."""
        ...

    def decided(self, batch: Batch, now_ms: int) -> None:
        """A batch is decided at `now_ms`, and not yet committed."""
        ...

    def committed(self, batch: Batch) -> None:
        """A batch is committed and in the ledger."""
        ...

    def failed(self, error: TransactionError) -> None:
        """A transaction did not commit, or its outcome is unknown."""
        ...

    def still_failing(self, error: TenMinuteError) -> None:
        """Recovery has not worked yet and is tried again."""
        ...

    def restoring(self, *, moved: bool) -> None:
        """Ledgers are being restored; `moved` when something was read since the last word."""
        ...

    def held(self, partitions: Sequence[int], error: TransactionError) -> None:
        """These partitions stand still because an output topic refused their records."""
        ...

    def assigned(self, ledgers: Mapping[int, Ledger]) -> None:
        """These partitions are restored and read from now on."""
        ...

    def quiet(self, ledgers: Mapping[int, Ledger], positions: Positions) -> None:
        """Nothing is under way: the ledgers hold exactly what is committed up to here."""
        ...

    def dropped(self, left: Mapping[int, Ledger]) -> None:
        """Partitions were given up; these are left."""
        ...

    def went_round(
        self, ledgers: Mapping[int, Ledger], *, idle: bool, holding: bool, member: bool
    ) -> None:
        """Once round the loop: `idle` with nothing to decide, `holding` with a partition held.

        `member` is whether the group counts this worker among its own.
        """
        ...

    def draining(self) -> None:
        """Told to stop; the batch under way still ends."""
        ...


class World(NamedTuple):
    """Everything a worker touches."""

    inbox: Inbox
    outlets: Outlets
    ledgers: Ledgers
    lane: Lane
    store: Store
    clock: Clock
    watcher: Watcher
    switches: Callable[[], Switches]
