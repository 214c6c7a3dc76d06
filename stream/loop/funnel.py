"""How far each application has come, and the counts that follow; pure, no client read inside.

Re-delivery and order cannot change the counts, because of three rules: every
fact carries an application id and is merged into that application's progress;
a stage once reached is never left; a later stage implies the earlier ones.
The counts are derived from the progress of all applications, so they need no
storage of their own and cannot drift from it in a crash.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

import msgspec
from msgspec import Struct

from stream.domain.application import Application
from stream.domain.decision import Decision, Outcome
from stream.domain.funnel import FunnelRow
from stream.domain.instant import to_ms
from stream.domain.outcome import LoanOutcome, OutcomeEvent
from stream.limits import DECIDE_WITHIN_MS

RowKey = tuple[int, str, str]
"""Partition, channel, segment."""


class Source(IntEnum):
    """Where a fact came from; of two that disagree, the greater is believed."""

    APPLICATION = 1
    OUTCOME = 2
    DECISION = 3


class Fact(NamedTuple):
    """What one record says about one application."""

    source: Source
    application_id: str
    channel: str
    segment: str
    submitted_at_ms: int | None = None
    approved: bool = False
    paid_at_ms: int | None = None


class Counts(NamedTuple):
    """Applications that reached each stage of the funnel."""

    submitted: int = 0
    decided: int = 0
    approved: int = 0
    paid: int = 0
    paid_within_ten_minutes: int = 0

    def plus(self, other: Counts, sign: int = 1) -> Counts:
        """Stage by stage sum, or difference with sign -1."""
        return Counts(*(mine + sign * theirs for mine, theirs in zip(self, other, strict=True)))


class Progress(Struct, frozen=True, array_like=True, gc=False):
    """How far one application has come, as the worker's table keeps it."""

    named_by: int
    partition: int
    channel: str
    segment: str
    submitted_at_ms: int | None
    decided: bool
    approved: bool
    paid_at_ms: int | None

    @property
    def row(self) -> RowKey:
        """The funnel row this application counts in."""
        return self.partition, self.channel, self.segment

    @property
    def counts(self) -> Counts:
        """One for every stage reached; payment implies approval implies decision."""
        paid = self.paid_at_ms is not None
        approved = self.approved or paid
        decided = self.decided or approved
        return Counts(1, int(decided), int(approved), int(paid), int(self._in_time()))

    def _in_time(self) -> bool:
        if self.paid_at_ms is None or self.submitted_at_ms is None:
            return False
        return self.paid_at_ms - self.submitted_at_ms <= DECIDE_WITHIN_MS


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Progress)


def encode_progress(progress: Progress) -> bytes:
    """Bytes for the table."""
    return _encoder.encode(progress)


def decode_progress(value: bytes) -> Progress:
    """Progress out of the table."""
    return _decoder.decode(value)


def fact_of_application(application: Application) -> Fact:
    """An application was submitted."""
    return Fact(
        Source.APPLICATION,
        application.application_id,
        application.channel,
        application.segment,
        submitted_at_ms=to_ms(application.submitted_at),
    )


def fact_of_decision(decision: Decision) -> Fact:
    """An application was decided."""
    return Fact(
        Source.DECISION,
        decision.application_id,
        decision.channel,
        decision.segment,
        submitted_at_ms=to_ms(decision.submitted_at),
        approved=decision.outcome is Outcome.APPROVE,
    )


def fact_of_outcome(outcome: LoanOutcome) -> Fact | None:
    """A loan was paid out; None for what happens to it later."""
    if outcome.event is not OutcomeEvent.DISBURSED:
        return None
    return Fact(
        Source.OUTCOME,
        outcome.application_id,
        outcome.channel,
        outcome.segment,
        paid_at_ms=to_ms(outcome.occurred_at),
    )


def advance(progress: Progress | None, fact: Fact, partition: int) -> Progress:
    """Progress after one more fact; the same fact again changes nothing."""
    if progress is None:
        nothing = (0, partition, fact.channel, fact.segment, None, False, False, None)
        progress = Progress(*nothing)
    better_named = fact.source > progress.named_by
    return Progress(
        named_by=max(progress.named_by, fact.source),
        partition=partition,
        channel=fact.channel if better_named else progress.channel,
        segment=fact.segment if better_named else progress.segment,
        submitted_at_ms=_submitted_at_ms(progress, fact, better_named=better_named),
        decided=progress.decided or fact.source is Source.DECISION,
        approved=progress.approved or fact.approved,
        paid_at_ms=_earlier(progress.paid_at_ms, fact.paid_at_ms),
    )


def _submitted_at_ms(progress: Progress, fact: Fact, *, better_named: bool) -> int | None:
    if fact.submitted_at_ms is None:
        return progress.submitted_at_ms
    if progress.submitted_at_ms is None or better_named:
        return fact.submitted_at_ms
    return progress.submitted_at_ms


def _earlier(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


class Tally:
    """Counts per partition, channel and segment, kept as applications move on."""

    __slots__ = ("_changed", "_counts")

    def __init__(self, progresses: Iterable[Progress] = ()) -> None:
        """Count what is already known; every row counts as changed."""
        self._counts: dict[RowKey, Counts] = {}
        self._changed: set[RowKey] = set()
        for progress in progresses:
            self.move(None, progress)

    def move(self, before: Progress | None, after: Progress) -> None:
        """Take an application out of where it was and count it where it is."""
        if before == after:
            return
        if before is not None:
            self._add(before.row, before.counts, -1)
        self._add(after.row, after.counts, 1)

    def take_changed(self) -> list[FunnelRow]:
        """Rows changed since this was last asked, in a fixed order."""
        changed, self._changed = sorted(self._changed), set()
        return [FunnelRow(*row, *self._counts[row]) for row in changed]

    def _add(self, row: RowKey, counts: Counts, sign: int) -> None:
        self._counts[row] = self._counts.get(row, Counts()).plus(counts, sign)
        self._changed.add(row)
