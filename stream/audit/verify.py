"""Walk one partition's chain once and say what is wrong, and where.

A record that is the next link is accepted for one hash. Any other is judged by
what it says of itself and by what the record after it builds on: the chain as a
whole decides which of two claims is the true one. Whatever was out of its place
is matched with the gaps at the end, so that a record moved is one finding and
not two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from stream.audit.checkpoint import Checkpoint
from stream.audit.entry import Claim, Entry, Fault, Kind
from stream.domain.chain import GENESIS, ChainHead, link

_RECENT = 1024
"""Accepted heads kept, to recognise records put in before the true ones."""


class Walk:
    """One pass over the records of a partition, in the order of their offsets."""

    def __init__(
        self,
        partition: int,
        checkpoints: Sequence[Checkpoint] = (),
        start: ChainHead = GENESIS,
        start_offset: int = -1,
    ) -> None:
        """Expect the record after `start`; `checkpoints` are believed: check signatures before."""
        self.head, self.offset, self.seen = start, start_offset, 0
        self._partition = partition
        self._recent = {start.sequence: (start, start_offset)}
        """The latest accepted heads by sequence, and the offset of each."""
        self._faults: list[Fault] = []
        self._strays: list[Entry] = []
        """Records found where they do not belong."""
        self._strays_since = 0
        """How many of them since the last accepted record."""
        self._gaps: list[tuple[int, int, int]] = []
        """First and last missing sequence, and the offset before them."""
        self._signed = {each.sequence: each for each in checkpoints}
        self._sound_to = start.sequence
        self._last_signed = max(checkpoints, key=lambda each: each.sequence, default=None)
        self._rewritten: Fault | None = None

    def run(self, entries: Iterable[Entry]) -> list[Fault]:
        """All faults of the partition, by offset."""
        for entry, following in _with_next(entries):
            self._step(entry, following)
        return self._finish()

    def _step(self, entry: Entry, following: Entry | None) -> None:
        self.seen += 1
        claim = entry.claim
        after = link(self.head, self._partition, entry.key, entry.value)
        if claim is not None and claim.head == after and claim.previous == self.head.sha256:
            self._accept(entry, after)
        elif claim is None:
            self._unlike(entry, after, following)
        elif claim.follows(self.head):
            # In its place by its own word, but its content gives another hash.
            self._altered(entry, self._built_on(after, claim.head, following))
        elif claim.sha256 == after.sha256:
            self._altered(entry, after)  # the content is right, another chain header is not
        elif claim.sequence == self.head.sequence + 1:
            self._other_past(entry, claim, following)
        elif claim.sequence > self.head.sequence + 1:
            self._later(entry, claim, following)
        else:
            self._earlier(entry, claim, following)

    def _accept(self, entry: Entry, head: ChainHead) -> None:
        self.head, self.offset, self._strays_since = head, entry.offset, 0
        self._recent[head.sequence] = (head, entry.offset)
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        signed = self._signed.get(head.sequence) if self._signed else None
        if signed is None:
            return
        if signed.head == head and signed.offset == entry.offset:
            self._sound_to = head.sequence
        elif self._rewritten is None:
            words = (
                f"the records from sequence {self._sound_to + 1} to {head.sequence} are not those "
                "the notary signed: rewritten after the fact, or put there again"
            )
            self._rewritten = Fault(
                Kind.REWRITTEN, self._partition, entry.offset, head.sequence, words
            )

    def _altered(self, entry: Entry, head: ChainHead) -> None:
        words = "its content or its chain headers are not what was written"
        self._fault(Kind.ALTERED, entry.offset, head.sequence, words)
        self._accept(entry, head)

    def _built_on(self, counted: ChainHead, said: ChainHead, following: Entry | None) -> ChainHead:
        """Of the counted and the stated head, the one that the next record goes on from."""
        claim = following.claim if following is not None else None
        return counted if claim is not None and claim.follows(counted) else said

    def _unlike(self, entry: Entry, after: ChainHead, following: Entry | None) -> None:
        """No claim: a link whose headers were damaged, or a record of no one's."""
        claim = following.claim if following is not None else None
        if claim is not None and claim.follows(after):
            self._altered(entry, after)
        elif claim is not None and claim.sequence == after.sequence + 1:
            self._altered(entry, ChainHead(after.sequence, claim.previous))
        else:
            words = "it is no link of the chain: another program wrote it"
            self._fault(Kind.INSERTED, entry.offset, after.sequence, words)

    def _other_past(self, entry: Entry, claim: Claim, following: Entry | None) -> None:
        """The right number on another past: the record before it, or it, is not the true one."""
        if self._is_own(entry, claim):
            if self.offset >= 0 or self.head.sequence:
                words = "altered and stamped again: the record after it holds another hash of it"
                self._fault(Kind.ALTERED, self.offset, self.head.sequence, words)
            else:
                self._fault(Kind.ALTERED, entry.offset, claim.sequence, "it names a past before 1")
            self._accept(entry, claim.head)
        else:
            after = link(self.head, self._partition, entry.key, entry.value)
            self._altered(entry, self._built_on(after, claim.head, following))

    def _later(self, entry: Entry, claim: Claim, following: Entry | None) -> None:
        """From further on: either what lies between is gone, or it is out of its place."""
        coming = following.claim if following is not None else None
        after = link(self.head, self._partition, entry.key, entry.value)
        # As many strays as records are missing: those stand where these should, this is at home.
        at_home = 0 < self._strays_since == claim.sequence - after.sequence
        if coming is None or coming.follows(claim.head) or at_home:
            self._gaps.append((after.sequence, claim.sequence - 1, self.offset))
            sound = self._is_own(entry, claim)
            (self._accept if sound else self._altered)(entry, claim.head)
        elif coming.follows(after) or (
            coming.sequence == after.sequence + 1 and not self._is_own(entry, claim)
        ):
            self._altered(entry, ChainHead(after.sequence, coming.previous))
        else:
            self._stray(entry)

    def _earlier(self, entry: Entry, claim: Claim, following: Entry | None) -> None:
        """A number passed already: put in, moved here, or the rival of accepted records."""
        coming = following.claim if following is not None else None
        sequence = self.head.sequence + 1
        if self._is_rival(claim, coming):
            self._give_way(claim.sequence)
            self._accept(entry, claim.head)
        elif coming is None or coming.sequence != sequence + 1 or self._is_own(entry, claim):
            self._stray(entry)
        else:
            self._altered(entry, ChainHead(sequence, coming.previous))

    def _is_rival(self, claim: Claim, coming: Claim | None) -> bool:
        """Whether the chain goes on from this record and not from those accepted in its place."""
        before = self._recent.get(claim.sequence - 1)
        taken = self._recent.get(claim.sequence)
        if before is None or taken is None or not claim.follows(before[0]):
            return False
        signed = self._signed.get(claim.sequence)
        goes_on = coming is not None and coming.follows(claim.head)
        return taken[0] != claim.head and (goes_on or (signed and signed.head) == claim.head)

    def _give_way(self, sequence: int) -> None:
        words = "put in: two records claim this place, and the chain goes on from the other"
        for passed in range(sequence, self.head.sequence + 1):
            _, offset = self._recent.pop(passed)
            self._fault(Kind.INSERTED, offset, passed, words)
        if self._rewritten is not None and self._rewritten.sequence >= sequence:
            self._rewritten = None

    def _is_own(self, entry: Entry, claim: Claim) -> bool:
        """Whether the record's content gives the hash it states, after the past it states."""
        past = ChainHead(claim.sequence - 1, claim.previous)
        return link(past, self._partition, entry.key, entry.value) == claim.head

    def _stray(self, entry: Entry) -> None:
        self._strays.append(entry)
        self._strays_since += 1

    def _finish(self) -> list[Fault]:
        end, moved = self.head.sequence, set()
        for stray in self._strays:
            sequence = stray.claim.sequence if stray.claim is not None else 0
            gone = sequence > end or any(a <= sequence <= b for a, b, _ in self._gaps)
            if gone and sequence not in moved:
                moved.add(sequence)
                words = f"the record of sequence {sequence} stands here, out of its place"
                self._fault(Kind.MOVED, stray.offset, sequence, words)
            else:
                words = f"put in: sequence {sequence} has its record elsewhere"
                self._fault(Kind.INSERTED, stray.offset, sequence, words)
        for first, last, offset in self._gaps:
            for begin, until in _without(first, last, moved):
                which = f"sequence {begin} is" if begin == until else f"{begin} to {until} are"
                words = f"{which} missing after this offset: {until - begin + 1} removed"
                self._fault(Kind.REMOVED, offset, begin, words)
        self._end(end)
        if self._rewritten is not None:
            self._faults.append(self._rewritten)
        return sorted(self._faults, key=lambda fault: fault.offset)

    def _end(self, end: int) -> None:
        signed = self._last_signed
        if signed is not None and signed.sequence > end:
            words = (
                f"the notary signed sequence {signed.sequence} at offset {signed.offset}; "
                f"{signed.sequence - end} at the end are cut off"
            )
            self._fault(Kind.TRUNCATED, self.offset, end + 1, words)

    def _fault(self, kind: Kind, offset: int, sequence: int, words: str) -> None:
        self._faults.append(Fault(kind, self._partition, offset, sequence, words))


def _with_next(entries: Iterable[Entry]) -> Iterator[tuple[Entry, Entry | None]]:
    iterator = iter(entries)
    current = next(iterator, None)
    while current is not None:
        following = next(iterator, None)
        yield current, following
        current = following


def _without(first: int, last: int, found: set[int]) -> Iterator[tuple[int, int]]:
    """The runs from first to last that are left without the found numbers."""
    for number in sorted(n for n in found if first <= n <= last):
        if first < number:
            yield first, number - 1
        first = number + 1
    if first <= last:
        yield first, last
