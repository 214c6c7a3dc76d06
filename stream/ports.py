"""What the engine asks of the world, declared by the one who asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from stream.domain.bureau import BureauFeatures
from stream.domain.ledger import Ledger
from stream.domain.whitelist import WhitelistEntry
from stream.scoring.manifest import Manifest

FloatMatrix = npt.NDArray[np.float32]


class Place(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


Positions = Mapping[Place, int]
"""The offset to read next, per place."""


class Record(NamedTuple):
    """One record as polled: bytes and where they came from."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, str | bytes | None]]
    timestamp_ms: int


class Output(NamedTuple):
    """One record to produce, to a partition that is already known."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, str | bytes | None]]
    timestamp_ms: int = 0
    """Epoch milliseconds to stamp it with; 0 is the moment it is sent."""


class Views(Protocol):
    """One consistent reading of whitelist and bureau, opened and closed around a batch."""

    @property
    def fresh_at_ms(self) -> int:
        """When the store had last caught up with its topics, epoch milliseconds."""
        ...

    def whitelist(self, applicant_token: str) -> WhitelistEntry | None:
        """The standing offer, or None when the person is not on the list."""
        ...

    def bureau(self, applicant_token: str) -> BureauFeatures | None:
        """The bureau view, or None when none has arrived."""
        ...


class Store(Protocol):
    """Whitelist and bureau, kept up to date by someone else."""

    def reading(self) -> AbstractContextManager[Views]:
        """A consistent view for one batch."""
        ...


class Scorer(Protocol):
    """One segment model."""

    @property
    def manifest(self) -> Manifest:
        """The checked description of the model."""
        ...

    @property
    def manifest_sha256(self) -> str:
        """What records name the release by: the hash pins model, scale and centres alike."""
        ...

    def score(self, rows: FloatMatrix) -> FloatMatrix:
        """Per-family log-odds, shape (rows, outputs); ModelError on anything not finite."""
        ...


Scorers = Mapping[str, Scorer]
"""Scorers by model id."""


class Identity(NamedTuple):
    """Who a worker is in its group at one moment; `token` is the client's own proof of it."""

    member: str
    token: object


class Listener(Protocol):
    """Told of changes of ownership, from inside `Inbox.poll` and `Inbox.close` only."""

    def assigned(self, partitions: Sequence[int]) -> None:
        """These partitions, all topics of each, are now all that is ours."""
        ...

    def revoked(self, partitions: Sequence[int]) -> None:
        """These are taken away; they are still ours until this returns."""
        ...

    def lost(self, partitions: Sequence[int]) -> None:
        """These are already another's."""
        ...


class Inbox(Protocol):
    """The consumer group's side of the broker."""

    def subscribe(self, listener: Listener) -> None:
        """Join the group."""
        ...

    def poll(self, limit: int, timeout_ms: int) -> list[Record]:
        """Up to `limit` records, in order within a place; may call the listener first."""
        ...

    def identity(self) -> Identity | None:
        """Who we are in the group; None when the group has let us go."""
        ...

    def committed(self, places: Sequence[Place]) -> dict[Place, int | None]:
        """Stable committed offsets: not before every open transaction on them has ended."""
        ...

    def bounds(self, place: Place) -> tuple[int, int]:
        """First offset still kept, and the offset after the last record."""
        ...

    def read_from(self, positions: Positions) -> None:
        """Read exactly these places, from these offsets; none of them is held any more."""
        ...

    def hold(self, partitions: Sequence[int], *, held: bool) -> None:
        """Pause (or resume) the partitions without giving them up."""
        ...

    def close(self) -> None:
        """Leave the group."""
        ...


class Outlet(Protocol):
    """One transactional producer; every method raises a `TransactionError`."""

    def begin(self) -> None:
        """Open a transaction."""
        ...

    def send(self, outputs: Sequence[Output]) -> None:
        """Hand records over to the open transaction."""
        ...

    def commit(self, positions: Positions, identity: Identity) -> None:
        """Add the offsets under this identity, then commit; returns only when it is known."""
        ...

    def abort(self) -> None:
        """Give the open transaction up; nothing to do when none is open."""
        ...


class Outlets(Protocol):
    """Where transactional producers come from."""

    def open(self, slot: int) -> Outlet:
        """A producer with the slot's transactional id; every earlier holder is fenced by it."""
        ...


class Serve(Protocol):
    """Called again and again by what takes long; may raise, when there is no use in going on."""

    def __call__(self, *, moved: bool) -> None:
        """Go on; `moved` when something was done since the last call."""
        ...


class Ledgers(Protocol):
    """Where a partition's ledger comes back from."""

    def restore(
        self, partitions: Sequence[int], consumed: Positions, serve: Serve
    ) -> dict[int, Ledger]:
        """Ledgers holding all that has been committed, `consumed` offsets of inputs included."""
        ...


class Clock(Protocol):
    """Time, for what is written into records and for spans."""

    def now_ms(self) -> int:
        """Wall clock, epoch milliseconds; may jump."""
        ...

    def seconds(self) -> float:
        """Monotonic seconds, for spans only."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; returns early when the worker is told to stop."""
        ...

    def left(self) -> float:
        """Seconds until what is given up must have been given up; infinite when nothing is.

        Whatever waits for the broker waits no longer than this.
        """
        ...

    def leaving(self) -> AbstractContextManager[None]:
        """Partitions are given up within it: `LEAVE_SECONDS_MAX` from now, or what is left."""
        ...


class Pending(Protocol):
    """Work handed to a lane."""

    def wait(self) -> None:
        """Return when the work has ended; raises what the work raised."""
        ...


class Lane(Protocol):
    """Runs one piece of work at a time beside the loop, in the order given."""

    def submit(self, work: Callable[[], None]) -> Pending:
        """Start the work, now or later, never before what was submitted earlier has ended."""
        ...
