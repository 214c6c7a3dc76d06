"""The group coordinator: members, generations, who owns what, and the committed offsets."""

from __future__ import annotations

from typing import NamedTuple

from simulation.faults import Fault
from simulation.kernel import Kernel, Promise

from stream.ports import Place, Positions

SESSION_MS = 2_000
REBALANCE_MS = 4_000
STABLE, REBALANCING = "stable", "rebalancing"


class Token(NamedTuple):
    """What a client sends along with offsets to prove who it is."""

    member: str
    generation: int
    instance: str | None


NOBODY = Token("", -1, None)
"""An identity that was reset: the broker does not check it."""


class Member:
    """One member as the coordinator sees it."""

    def __init__(self, member: str) -> None:
        self.member = member
        self.partitions: list[int] = []
        self.answer: Promise | None = None
        self.beat = 0


class Group:
    """One group over co-partitioned topics."""

    def __init__(self, kernel: Kernel, partitions: int) -> None:
        self._kernel, self._partitions = kernel, partitions
        self.members: dict[str, Member] = {}
        self.generation, self._state, self._round = 0, STABLE, 0
        self.offsets: dict[Place, int] = {}
        self._appended: dict[Place, int] = {}
        self._pending: dict[int, dict[Place, tuple[int, int]]] = {}
        self._records = 0
        self._epochs: dict[int, int] = {}

    def join(self, slot: str, member: str) -> Promise:
        """Answered with member id, generation and partitions, maybe after a rebalance.

        `slot` is the instance id; a member that comes back under it takes over the
        place of the one that held it, without a rebalance when nothing else changed.
        """
        answer = Promise()
        found = self.members.get(slot)
        if found is not None and member and found.member != member:
            raise Fault("FENCED_INSTANCE_ID")
        if member and found is None:
            raise Fault("UNKNOWN_MEMBER_ID")
        returning = found is not None and not member
        if found is None or returning:
            self._kernel.count("member joined again" if returning else "member joined")
            held = found.partitions if found else []
            found = self.members[slot] = Member(f"{slot}#{self._kernel.below(1 << 30)}")
            found.partitions = held
        self._beat(slot, found)
        if self._state == STABLE and returning:
            answer.settle((found.member, self.generation, list(found.partitions)))
            return answer
        found.answer = answer
        if self._state == STABLE:
            self._rebalance()
        self._try_complete()
        return answer

    def heartbeat(self, slot: str, token: Token) -> None:
        """Stay a member; refusals tell what has become of us."""
        found = self._valid(slot, token)
        self._beat(slot, found)
        if self._state == REBALANCING:
            raise Fault("REBALANCE_IN_PROGRESS")

    def remove(self, slot: str) -> None:
        """Leave, be removed by an operator, or be silent for too long."""
        if self.members.pop(slot, None) is None:
            return
        self._kernel.note("removed", slot)
        if self._state == STABLE:
            self._rebalance()
        self._try_complete()

    def stage(self, producer: int, epoch: int, positions: Positions, token: Token) -> None:
        """TxnOffsetCommit: held until the marker; generation -1 of nobody is not checked."""
        if epoch < self._epochs.get(producer, -1):
            raise Fault("INVALID_PRODUCER_EPOCH")
        if token.generation >= 0 or token.member or token.instance is not None:
            slot = token.instance or token.member.partition("#")[0]
            self._valid(slot, token)
        self._epochs[producer] = epoch
        self._records += 1
        pending = self._pending.setdefault(producer, {})
        pending.update({place: (offset, self._records) for place, offset in positions.items()})

    def holds_offsets_of(self, producer: int) -> bool:
        """Whether the producer's open transaction has brought offsets along."""
        return producer in self._pending

    def mark(self, producer: int, epoch: int, *, commit: bool) -> None:
        """Offsets of an ended transaction become committed, or vanish.

        Markers of two producers may come the other way round; what was appended later stands.
        """
        for place, (offset, record) in self._pending.pop(producer, {}).items():
            if commit and record > self._appended.get(place, 0):
                self.offsets[place], self._appended[place] = offset, record
        self._epochs[producer] = max(epoch, self._epochs.get(producer, -1))

    def committed(self, places: list[Place]) -> dict[Place, int | None]:
        """Committed offsets, refused while a transaction has some pending on them."""
        unsure = {place for pending in self._pending.values() for place in pending}
        if unsure.intersection(places):
            raise Fault("UNSTABLE_OFFSET_COMMIT")
        return {place: self.offsets.get(place) for place in places}

    def _valid(self, slot: str, token: Token) -> Member:
        found = self.members.get(slot)
        if found is None:
            raise Fault("UNKNOWN_MEMBER_ID")
        if found.member != token.member:
            raise Fault("FENCED_INSTANCE_ID" if token.instance else "UNKNOWN_MEMBER_ID")
        if token.generation != self.generation:
            raise Fault("ILLEGAL_GENERATION")
        return found

    def _beat(self, slot: str, found: Member) -> None:
        found.beat += 1
        self._kernel.after(SESSION_MS, self._silent, slot, found, found.beat)

    def _silent(self, slot: str, found: Member, beat: int) -> None:
        """No word since `beat`; one who waits for a rebalance to end is not expected to speak."""
        if found.beat == beat and self.members.get(slot) is found:
            if found.answer is not None:
                self._beat(slot, found)
                return
            self._kernel.count("session timed out")
            self.remove(slot)

    def _rebalance(self) -> None:
        self._state = REBALANCING
        self._round += 1
        self._kernel.count("rebalance")
        self._kernel.after(REBALANCE_MS, self._give_up_waiting, self._round)

    def _give_up_waiting(self, number: int) -> None:
        if self._state == REBALANCING and self._round == number:
            late = [slot for slot, each in self.members.items() if each.answer is None]
            for slot in late:
                del self.members[slot]
            self._try_complete()

    def _try_complete(self) -> None:
        if self._state != REBALANCING:
            return
        if any(each.answer is None for each in self.members.values()):
            return
        self._state = STABLE
        self.generation += 1
        slots = sorted(self.members)
        for index, slot in enumerate(slots):
            found = self.members[slot]
            found.partitions = [p for p in range(self._partitions) if p % len(slots) == index]
            answer, found.answer = found.answer, None
            self._beat(slot, found)
            if answer is not None:
                answer.settle((found.member, self.generation, list(found.partitions)))
        self._kernel.note("generation", self.generation, slots)
