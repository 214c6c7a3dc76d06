"""The consumer's side of a worker over the model: group membership, offsets, reading."""

from __future__ import annotations

from collections.abc import Sequence

from simulation.broker import REQUEST_MS, Broker
from simulation.faults import Fault, NoAnswer
from simulation.group import NOBODY, Token
from simulation.kernel import Process, Promise

from stream.errors import BrokerError
from stream.ports import Identity, Listener, Place, Positions, Record

BEAT_MS = 500
ATTEMPTS_MAX = 40
IN, OUT, CALLED, LOST, FENCED = "in", "out", "called to rejoin", "lost", "fenced"


class SimInbox:
    """A member of the group; heartbeats go on beside the loop, as a client library's thread does.

    `static` members keep their place over a restart and do not leave on close.
    """

    def __init__(self, process: Process, broker: Broker, slot: str, *, static: bool) -> None:
        self._process, self._broker, self._slot, self._static = process, broker, slot, static
        self._kernel = broker.kernel
        self._state, self._closed = OUT, False
        self.token: Token = NOBODY
        self._owned: list[int] = []
        self._positions: dict[Place, int] = {}
        self._held: set[int] = set()
        self._joining: Promise | None = None
        self._asked_at_ms = 0

    def subscribe(self, listener: Listener) -> None:
        """Start to be a member."""
        self._listener = listener
        self._process.spawn(self._beat)

    def poll(self, limit: int, timeout_ms: int) -> list[Record]:
        """Serve what the group has to say, then read what there is."""
        self._process.work()
        if self._state == FENCED:
            raise BrokerError("another member holds this place", fix="stop one of them")
        self._serve_loss()
        if self._state == OUT:
            self._join()
        found = self._fetch(limit)
        if not found:
            # An idle loop waits longer than it asked to: less to simulate, and no one can tell.
            idle_ms = max(timeout_ms, self._kernel.between(60, 240))
            self._process.wait(self._broker.news(), idle_ms)
            found = self._fetch(limit)
        return found

    def identity(self) -> Identity | None:
        """The member as the client knows it now."""
        return Identity(self.token.member, self.token) if self.token.member else None

    def committed(self, places: Sequence[Place]) -> dict[Place, int | None]:
        """Ask until stable."""
        for _ in range(ATTEMPTS_MAX):
            try:
                found: dict[Place, int | None] = self._broker.call(
                    self._process, "fetch offsets",
                    lambda: self._broker.group.committed(list(places)),
                )  # fmt: skip
            except (Fault, NoAnswer):
                self._process.pause(self._kernel.between(20, 400))
            else:
                return found
        raise BrokerError("no stable offsets", fix="look for open transactions")

    def bounds(self, place: Place) -> tuple[int, int]:
        """Nothing is ever deleted here."""
        self._process.work()
        return 0, self._broker.logs[place].end

    def read_from(self, positions: Positions) -> None:
        """Read these and nothing else, and hold none of them."""
        self._positions, self._held = dict(positions), set()

    def hold(self, partitions: Sequence[int], *, held: bool) -> None:
        """Pause or resume."""
        self._held = self._held.union(partitions) if held else self._held.difference(partitions)

    def close(self) -> None:
        """Give up what is owned; static members stay known until their session ends."""
        self._process.work()
        if self._owned and self.token.member:
            self._give_up()
        if not self._static:
            self._leave()
        self._closed, self.token = True, NOBODY

    def reset(self) -> None:
        """The client has let its identity go by itself, as on a missed poll."""
        if self._state in {IN, CALLED}:
            self._state, self.token = LOST, NOBODY

    def _give_up(self) -> None:
        owned, self._owned = self._owned, []
        self._listener.revoked(owned)
        self._positions = {}

    def _serve_loss(self) -> None:
        if self._state == LOST:
            owned, self._owned = self._owned, []
            if owned:
                self._listener.lost(owned)
            self._positions, self._state = {}, OUT
        elif self._state == CALLED:
            if self._owned:
                self._give_up()
            # The membership may have gone while giving up; then there is nothing left to lose.
            if self._state != FENCED:
                self._state = OUT

    def _join(self) -> None:
        """Send a join, look for its answer on later polls, ask anew when none comes."""
        joining = self._joining
        if joining is None or self._kernel.now_ms > self._asked_at_ms + 8 * REQUEST_MS:
            joining = self._joining = Promise()
            self._asked_at_ms = self._kernel.now_ms
            member = self.token.member
            self._broker.send(
                self._process, "join",
                lambda: self._broker.group.join(self._slot, member), joining,
            )  # fmt: skip
        if not self._process.wait(joining, 50):
            return
        self._joining = None
        try:
            member, generation, partitions = joining.result()
        except NoAnswer:
            return
        except Fault as fault:
            self.token = NOBODY
            self._state = FENCED if fault.name == "FENCED_INSTANCE_ID" else OUT
            return
        self.token = Token(member, generation, self._slot if self._static else None)
        self._state, self._owned = IN, partitions
        self._kernel.note("assigned", self._process.name, generation, partitions)
        self._listener.assigned(partitions)

    def _fetch(self, limit: int) -> list[Record]:
        found: list[Record] = []
        reached = self._broker.up and not self._process.cut_off
        places = list(self._positions) if reached and self._state in {IN, CALLED} else []
        self._kernel.shuffle(places)
        for place in places:
            if place.partition in self._held or len(found) >= limit:
                continue
            log, position = self._broker.logs[place], self._positions[place]
            if position == len(log.entries):
                continue
            entries, self._positions[place] = log.read(position, limit - len(found))
            for offset, entry in entries:
                output = entry.output
                found.append(
                    Record(place.topic, place.partition, offset, output.key, output.value,
                           output.headers, entry.timestamp_ms)
                )  # fmt: skip
        return found

    def _beat(self) -> None:
        while not self._closed:
            self._process.pause(BEAT_MS)
            if self._state not in {IN, CALLED}:
                continue
            token = self.token
            try:
                self._broker.call(
                    self._process, "beat",
                    lambda token=token: self._broker.group.heartbeat(self._slot, token),
                )  # fmt: skip
            except NoAnswer:
                continue
            except Fault as fault:
                if token == self.token:
                    self._hear(fault.name)

    def _hear(self, refusal: str) -> None:
        if refusal == "REBALANCE_IN_PROGRESS":
            self._state = CALLED
        elif refusal == "FENCED_INSTANCE_ID":
            self._state, self.token = FENCED, NOBODY
        else:
            self._kernel.count("identity reset by the broker")
            self._state, self.token = LOST, NOBODY

    def _leave(self) -> None:
        self._broker.send(
            self._process, "leave", lambda: self._broker.group.remove(self._slot), Promise()
        )
