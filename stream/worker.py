"""The transactional loop around the pipeline, behind ports: the same on Kafka and in a simulation.

1 poll a batch; 2 snapshot the group identity with it; 3 run the pipeline; 4
begin; 5 produce decisions, audit records, dead letters and strays; 6 send the
offsets with the identity of step 2; 7 commit; 8 apply to the ledger and count.

While one batch commits in the lane (6 and 7), the next is prepared (1 to 3) on a
draft that lies on the first one's. It is produced only when the first has
committed, by the other of two producers: nothing else orders the records of two
producers in a log, and the audit chain and a person's decisions have an order.
When the first has not committed, the next is dropped with it, so a batch never
commits on promises that did not. Two producers, because the broker still ends a
transaction for some milliseconds after it has answered the commit.

What a `TransactionError` asks for is done in `_recover`: in every case reading
goes back to the committed offsets. No decision is ever produced outside a
transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from stream.batch import Batch
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.topics import APPLICATIONS, INPUTS
from stream.ending import (
    HandedOnError,
    OffsetLostError,
    OffsetMissingError,
    PartitionsRaisedError,
    RefusalError,
    TimeUpError,
)
from stream.errors import BrokerError, Remedy, TransactionError
from stream.limits import (
    BATCH_SECONDS_TARGET,
    HOLD_SECONDS,
    POLL_TIMEOUT_MS,
    RETRY_SECONDS,
    SERVE_SECONDS,
    SNAPSHOT_DECISIONS,
)
from stream.pipeline import Circumstances, Decides
from stream.ports import (
    Identity,
    Outlet,
    Pending,
    Place,
    Record,
)
from stream.world import World

SLOTS = 2


class Flight(NamedTuple):
    """A batch whose commit is under way."""

    batch: Batch
    drafts: dict[int, Draft]
    pending: Pending


class Worker:
    """Decides the partitions it is assigned until told to stop; also the inbox's listener."""

    def __init__(
        self,
        world: World,
        pipeline: Decides,
        *,
        partitions: int,
        batch_records: int,
        stopping: Callable[[], bool],
    ) -> None:
        """Ask to join the group; producers open, and partitions are taken over, in `step`."""
        self._world, self._pipeline = world, pipeline
        self._partitions, self._most = partitions, batch_records
        self._limit = batch_records
        self._stopping = stopping
        self._ledgers: dict[int, Ledger] = {}
        self._positions: dict[Place, int] = {}
        self._held: dict[int, float] = {}
        self._flight: Flight | None = None
        self._outlets: list[Outlet] = []
        self._owed: list[int] = []
        self._unkept: list[int] = []
        self._turn = self._since_quiet = 0
        self._served_at, self._moved = world.clock.seconds(), False
        world.inbox.subscribe(self)

    def run(self) -> None:
        """Go round until `stopping`; then let the batch under way end, and leave the group.

        TimeUpError when that took longer than `clock.left` allowed.
        """
        try:
            while not self._stopping():
                self.step()
            self._world.watcher.draining()
            landed = self._land(resume=False)
            in_time = landed or self._world.clock.left() > 0
        finally:
            self._world.inbox.close()
        if not in_time:
            raise TimeUpError

    def step(self) -> None:
        """Once round: poll, decide what came, or let the batch under way land."""
        if self._owed or not self._outlets:
            self._mend()
            return
        self._let_go()
        self._keep_one()
        records = self._world.inbox.poll(self._limit, POLL_TIMEOUT_MS)  # 1
        records = [record for record in records if self._is_next(record)]
        identity = self._world.inbox.identity()  # 2
        if not records:
            self._land()
        elif identity is not None:
            self._decide(records, identity)
        elif self._land():  # never undo what is still committing
            self._recover(TransactionError(Remedy.ABORT, "identity_lost"), None)
        self._world.watcher.went_round(
            self._ledgers,
            idle=not records,
            holding=bool(self._held),
            member=identity is not None,
        )

    def _keep_one(self) -> None:
        """A snapshot with each round while any is due: all at once would let applicants wait."""
        if self._since_quiet >= SNAPSHOT_DECISIONS:
            self._unkept, self._since_quiet = list(self._ledgers), 0
        if self._unkept and self._land():
            partition = self._unkept.pop()
            if partition in self._ledgers:
                one = {partition: self._ledgers[partition]}
                self._world.watcher.quiet(one, self._positions)

    def _decide(self, records: Sequence[Record], identity: Identity) -> None:
        """Prepare a batch while the one before commits; produce it when that has landed."""
        world, outlet = self._world, self._outlets[self._turn]
        began = world.clock.seconds()
        world.watcher.mark("poll")
        partitions = {record.partition for record in records}
        drafts = {partition: Draft(self._tip(partition)) for partition in partitions}
        ends = {Place(r.topic, r.partition): r.offset + 1 for r in records}
        with world.store.reading() as views:
            now_ms, switches = world.clock.now_ms(), world.switches()
            under = Circumstances(now_ms, views, switches, self._partitions)
            batch = self._pipeline.run(records, drafts, under, world.watcher.mark)  # 3
        world.watcher.decided(batch, now_ms)
        if not self._land():
            return
        world.watcher.mark("commit")
        now = world.inbox.identity()
        if now is None or now.member != identity.member:
            self._recover(TransactionError(Remedy.ABORT, "identity_changed"), batch)
            return
        try:
            outlet.begin()  # 4
            outlet.send(batch.outputs)  # 5
        except TransactionError as error:
            self._recover(error, batch)
            return
        world.watcher.mark("produce")
        for partition, draft in drafts.items():
            draft.rest_on(self._ledgers[partition])
        pending = world.lane.submit(lambda: outlet.commit(ends, identity))  # 6, 7
        self._flight = Flight(batch, drafts, pending)
        self._positions.update(ends)
        self._turn = (self._turn + 1) % SLOTS
        self._pace(world.clock.seconds() - began)

    def _land(self, *, resume: bool = True) -> bool:
        """Wait for the batch under way and apply it; False when it failed and all was undone."""
        flight, self._flight = self._flight, None
        if flight is None:
            return True
        try:
            flight.pending.wait()
        except TransactionError as error:
            self._recover(error, flight.batch, resume=resume)
            return False
        for partition, draft in flight.drafts.items():  # 8
            ledger = self._ledgers[partition]
            hour = ledger.forgotten_hour
            draft.apply(ledger)
            # Looking through ninety days of hours with every batch would find nothing.
            if ledger.forgotten_hour != hour:
                ledger.forget()
        self._since_quiet += len(flight.batch.decisions)
        self._world.watcher.committed(flight.batch)
        return True

    def _recover(
        self, error: TransactionError, batch: Batch | None, *, resume: bool = True
    ) -> None:
        """Nothing of the open batches counts: undo them and read on at what did commit.

        Without `resume` the partitions are on their way out and only forgotten.
        """
        self._flight = None
        self._world.watcher.failed(error)
        if error.remedy is Remedy.LEAVE:
            raise BrokerError(
                f"another process works under this worker's name: {error.cause}",
                fix="give every engine its own `instance`",
            )
        if error.remedy is not Remedy.ABORT or not self._abort_all():
            self._outlets = []
        partitions = list(self._ledgers) if resume else []
        # Whoever stands still does so on, whatever failed now.
        held = {p: until for p, until in self._held.items() if p in partitions}
        self._drop(self._ledgers)
        self._held = held
        if error.remedy is Remedy.HOLD:
            self._hold(partitions, error, batch)
        self._owed = partitions

    def _mend(self) -> None:
        """One attempt to be whole: producers open, what is owed taken over.

        A broker away is no reason to die. Between two attempts the group is
        served: it goes on without us, and a member that is silent for long is
        forgotten by its own client. What that poll returns is read again, since
        taking over sets every position.
        """
        world = self._world
        try:
            if not self._outlets:
                self._open()
            if self._owed:
                self._take_over(self._owed)
                self._owed = []
                world.watcher.assigned(self._ledgers)
        except RefusalError:
            raise
        except HandedOnError:
            return
        except (TransactionError, BrokerError) as error:
            world.watcher.still_failing(error)
            world.clock.sleep(RETRY_SECONDS)
            world.inbox.poll(1, 0)

    def _open(self) -> None:
        self._outlets = [self._world.outlets.open(slot) for slot in range(SLOTS)]

    def _abort_all(self) -> bool:
        """Abort what is open; False when that is not known to have worked."""
        try:
            for outlet in self._outlets:
                outlet.abort()
        except TransactionError as error:
            self._world.watcher.failed(error)
            return False
        return True

    def _take_over(self, partitions: Sequence[int]) -> None:
        """Committed offsets, then ledgers, then the first record, in this order always."""
        inbox = self._world.inbox
        places = [Place(topic, partition) for topic in INPUTS for partition in partitions]
        committed = inbox.committed(places)
        positions = {}
        self._served_at = self._world.clock.seconds()
        serve = partial(self._serve, self._owed)
        for place, offset in committed.items():
            serve(moved=True)
            low, end = inbox.bounds(place)
            positions[place] = low if offset is None else offset
            if not low <= positions[place] <= end:
                raise OffsetLostError(place, positions[place], low, end)
        ledgers = self._world.ledgers.restore(partitions, positions, serve)
        for partition, ledger in ledgers.items():
            place = Place(APPLICATIONS, partition)
            if len(ledger) and committed[place] is None:
                # Another owner may have decided between the two answers.
                if inbox.committed([place])[place] is None:
                    raise OffsetMissingError(partition, len(ledger))
                raise BrokerError("offsets moved while restoring", fix="none, it is tried again")
        self._ledgers, self._positions = ledgers, positions
        self._held = {p: until for p, until in self._held.items() if p in ledgers}
        inbox.read_from(positions)
        if self._held:
            inbox.hold(list(self._held), held=True)

    def _serve(self, owed: Sequence[int], *, moved: bool) -> None:
        """Keep our place in the group through a long restore, and say that it goes on."""
        world, now = self._world, self._world.clock.seconds()
        self._moved = self._moved or moved
        if now - self._served_at < SERVE_SECONDS:
            return
        world.watcher.restoring(moved=self._moved)
        self._served_at, self._moved = now, False
        world.inbox.poll(1, 0)  # read again: taking over sets every position
        if self._owed is not owed or self._stopping():
            raise HandedOnError

    def assigned(self, partitions: Sequence[int]) -> None:
        """Owed from now on: `step` restores before it reads. None may be our share."""
        if any(partition >= self._partitions for partition in partitions):
            raise PartitionsRaisedError(max(partitions) + 1, self._partitions)
        self._drop(self._ledgers)
        self._held, self._owed = {}, list(partitions)
        if not partitions:
            self._world.watcher.assigned({})

    def revoked(self, partitions: Sequence[int]) -> None:
        """Still ours: let the batch under way land, keep snapshots, then forget."""
        with self._world.clock.leaving():
            if self._land(resume=False):
                self._world.watcher.quiet(self._ledgers, self._positions)
        self._drop(partitions)

    def lost(self, partitions: Sequence[int]) -> None:
        """Another's already: the batch under way ends as it may, its commit is refused."""
        with self._world.clock.leaving():
            self._land(resume=False)
        self._drop(partitions)

    def _drop(self, partitions: Iterable[int]) -> None:
        gone = set(partitions)
        self._ledgers = {p: ledger for p, ledger in self._ledgers.items() if p not in gone}
        self._positions = {p: o for p, o in self._positions.items() if p.partition not in gone}
        self._held = {p: until for p, until in self._held.items() if p not in gone}
        self._owed = [p for p in self._owed if p not in gone]
        self._world.watcher.dropped(self._ledgers)

    def _tip(self, partition: int) -> Ledger | Draft:
        if self._flight is not None and partition in self._flight.drafts:
            return self._flight.drafts[partition]
        return self._ledgers[partition]

    def _is_next(self, record: Record) -> bool:
        """Not of a partition given up, nor fetched before reading went back."""
        place = Place(record.topic, record.partition)
        return place in self._positions and record.offset >= self._positions[place]

    def _pace(self, seconds: float) -> None:
        """Halve the batch when it took too long, let it grow back when it did not."""
        if seconds > BATCH_SECONDS_TARGET:
            self._limit = max(1, self._limit // 2)
        elif self._limit < self._most:
            self._limit = min(self._most, self._limit * 2)

    def _hold(
        self, partitions: Sequence[int], error: TransactionError, batch: Batch | None
    ) -> None:
        """Stop the partitions whose records the topic refused; nothing of them is skipped."""
        until = self._world.clock.seconds() + HOLD_SECONDS
        refused = _refused(batch, error.topic) if batch is not None else set()
        held = [p for p in partitions if p in refused] or list(partitions)
        self._held.update(dict.fromkeys(held, until))
        self._world.watcher.held(sorted(self._held), error)

    def _let_go(self) -> None:
        """Try the partitions again whose time has come."""
        if not self._held:
            return
        now = self._world.clock.seconds()
        due = [partition for partition, until in self._held.items() if until <= now]
        if due:
            self._held = {p: until for p, until in self._held.items() if p not in due}
            self._world.inbox.hold(due, held=False)


def _refused(batch: Batch, topic: str | None) -> set[int]:
    """Partitions that the records meant for a topic were read from: a stray leaves another's."""
    if topic in INPUTS:
        return {record.partition for record in batch.strays if record.topic == topic}
    return {output.partition for output in batch.outputs if output.topic == topic}
