"""What a notary knows of one partition: where the chain stands and what it has signed of it."""

from __future__ import annotations

from stream.audit.checkpoint import Checkpoint
from stream.audit.entry import Entry
from stream.domain.chain import GENESIS, ChainHead, link
from stream.domain.topics import AUDIT
from stream.errors import FatalError


class ChainBrokenError(FatalError):
    """The audit of a partition is not the chain it was; the notary signs nothing more of it."""

    def __init__(self, partition: int, offset: int, sequence: int, words: str) -> None:
        """Say where: the offset looked at, and the sequence that was due there."""
        super().__init__(
            f"audit chain broken: {AUDIT}/{partition} at offset {offset}, sequence {sequence}: "
            f"{words}",
            fix=f"stop paying, run: tenminute audit verify --partition {partition}",
        )
        self.partition, self.offset, self.sequence = partition, offset, sequence


class Watched:
    """One partition under a notary's eyes, from its last checkpoint on."""

    def __init__(self, partition: int, last: Checkpoint | None, now: float) -> None:
        """Go on after `last`, whose record is looked at again first; from the start without it."""
        self.partition, self._last = partition, last
        self.head: ChainHead = last.head if last is not None else GENESIS
        self.offset = last.offset if last is not None else -1
        self._signed, self._since = self.head.sequence, now
        self._resuming = last is not None

    @property
    def start(self) -> int:
        """The offset to read first; the signed record itself when there is one."""
        return max(0, self.offset)

    @property
    def unsigned(self) -> int:
        """Records seen that no checkpoint covers yet."""
        return self.head.sequence - self._signed

    def take(self, entry: Entry) -> None:
        """Check one record, in order; ChainBrokenError when it is not the next link."""
        if self._resuming:
            self._look_again(entry)
            return
        after = link(self.head, self.partition, entry.key, entry.value)
        claim = entry.claim
        if claim is None:
            self._broken(entry, after.sequence, "a record without a place in the chain")
        elif claim.sequence != after.sequence:
            self._broken(entry, after.sequence, f"sequence {claim.sequence} stands there")
        elif claim.head != after or claim.previous != self.head.sha256:
            self._broken(entry, after.sequence, "its hash does not follow from what is before it")
        self.head, self.offset = after, entry.offset

    def bounds(self, low: int, high: int) -> None:
        """Compare with what the partition holds now; ChainBrokenError when the signed is gone."""
        if self._last is not None and not low <= self._last.offset < high:
            words = f"signed, and the partition now holds offsets {low} to {high}: cut off"
            raise ChainBrokenError(self.partition, self._last.offset, self._last.sequence, words)

    def due(self, now: float, every_records: int, every_seconds: float) -> bool:
        """Whether a checkpoint is to be signed: by count, or by time when there is news."""
        waited = now - self._since >= every_seconds
        return self.unsigned >= every_records or (self.unsigned > 0 and waited)

    def checkpoint(self, at: str, key_id: str) -> Checkpoint:
        """The notary's word on where the chain stands now."""
        sequence, sha256 = self.head
        return Checkpoint(self.partition, sequence, self.offset, sha256.hex(), at, key_id)

    def signed(self, checkpoint: Checkpoint, now: float) -> None:
        """The checkpoint is on its topic."""
        self._signed, self._since = checkpoint.sequence, now

    def _look_again(self, entry: Entry) -> None:
        claim = entry.claim
        past = ChainHead(self.head.sequence - 1, claim.previous) if claim is not None else GENESIS
        now = link(past, self.partition, entry.key, entry.value)
        if entry.offset != self.offset or now != self.head:
            self._broken(
                entry, self.head.sequence, "not the record that the last checkpoint signed"
            )
        self._resuming = False

    def _broken(self, entry: Entry, sequence: int, words: str) -> None:
        raise ChainBrokenError(self.partition, entry.offset, sequence, words)
