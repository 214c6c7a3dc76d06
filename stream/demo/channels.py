"""Four channel simulators: what they send, in which order, with which bad habits.

| channel | habit |
|---|---|
| mobile_bank | a retry after a lost answer: the same application twice |
| wechat_bank | now and then two taps: the same application at once again |
| h5 | bursts: everything of two seconds at one instant |
| customer_manager | forms filled in earlier: late records, some sent again much later |

The schedule is a list of `Sent` with times on a clock of its own; the
publisher stretches that clock to the rate it is told. `submitted_at` is written
when a record is sent, so latency is real; a repeat or a conflict carries the
instant of the record it repeats.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec.structs import replace

from stream.codec.application_v1 import encode_application
from stream.demo.broken import WAYS, break_record
from stream.demo.terms import LoanCase
from stream.domain.application import Application, Channel
from stream.domain.instant import from_ms
from stream.limits import DECIDE_WITHIN_MS

SCHEDULE_RATE = 200
"""Applications per second of the schedule's own clock."""

BROKEN_SHARE = 0.01
CONFLICT_SHARE = 0.01
REPEAT_SHARES = {
    Channel.MOBILE_BANK: 0.02,
    Channel.WECHAT_BANK: 0.005,
    Channel.H5: 0.0,
    Channel.CUSTOMER_MANAGER: 0.03,
}
REPEAT_AFTER_MS = {
    Channel.MOBILE_BANK: (1_000, 5_000),
    Channel.WECHAT_BANK: (0, 300),
    Channel.H5: (0, 0),
    Channel.CUSTOMER_MANAGER: (10_000, 20_000),
}
"""Minutes for a customer manager, shortened as the whole day is."""

BURST_MS = 2_000
LATE_SHARE = 0.3
LATE_MS_MAX = 8 * 60_000
TOO_LATE_SHARE = 0.05
"""Of the late records, those older than the ten minutes: the engine must refer them as late."""

_STAMP = "2000-01-01T00:00:00.000Z"
_MARK = f'"submitted_at":"{_STAMP}"'.encode()


class Kind(StrEnum):
    """What a record of the schedule is."""

    NORMAL = "normal"
    LATE = "late"
    REPEAT = "repeat"
    CONFLICT = "conflict"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Sent:
    """One record to send: `head`, the instant, `tail`; `head` alone when `tail` is None."""

    at_offset_ms: int
    channel: Channel
    kind: Kind
    key: bytes
    head: bytes
    tail: bytes | None
    application_id: str
    lag_ms: int = 0
    has_version: bool = True

    def value(self, submitted_ms: int) -> bytes:
        """The record's bytes with `submitted_at` set."""
        if self.tail is None:
            return self.head
        return b'%b"submitted_at":"%b"%b' % (self.head, from_ms(submitted_ms).encode(), self.tail)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the engine must answer for a schedule, for the closing table."""

    sent: int
    decided: int
    repeats: int
    conflicts: int
    broken: int
    broken_by_reason: dict[str, int]
    by_channel: dict[str, int]

    @property
    def dead_letters(self) -> int:
        """Broken records and conflicts both end as dead letters."""
        return self.broken + self.conflicts


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything the four channels send, in order, and what must come of it."""

    records: list[Sent]
    expected: Expected


@dataclass(slots=True)
class _Plan:
    rng: random.Random
    records: list[Sent] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


def build_schedule(
    cases: Sequence[LoanCase], seed: int, offsets_ms: Sequence[int] | None = None
) -> Schedule:
    """The same schedule for the same cases and seed; every case is sent once at least.

    Cases come evenly at `SCHEDULE_RATE`, or at `offsets_ms` when given: sent at
    that rate, such a schedule keeps its own time.
    """
    plan = _Plan(random.Random(seed))  # noqa: S311  (a repeatable demo, not a secret)
    for index, case in enumerate(cases):
        at_ms = index * 1_000 // SCHEDULE_RATE if offsets_ms is None else offsets_ms[index]
        _plan_one(plan, case.application, at_ms)
    # Stable: a repeat was appended after its first and never lies before it.
    plan.records.sort(key=lambda record: record.at_offset_ms)
    return Schedule(plan.records, _expected(plan))


def _plan_one(plan: _Plan, application: Application, at_ms: int) -> None:
    rng, channel = plan.rng, application.channel
    if channel is Channel.H5:
        at_ms = -(-at_ms // BURST_MS) * BURST_MS
    lag_ms = _lag_ms(channel, rng)
    kind = Kind.LATE if lag_ms else Kind.NORMAL
    first = _sent(application, kind, at_ms, lag_ms)
    plan.records.append(first)
    again_ms = at_ms + rng.randint(*REPEAT_AFTER_MS[channel])
    if rng.random() < REPEAT_SHARES[channel]:
        plan.records.append(_sent(application, Kind.REPEAT, again_ms, lag_ms))
    if rng.random() < CONFLICT_SHARE:
        other = replace(application, requested_amount_fen=application.requested_amount_fen + 100)
        plan.records.append(_sent(other, Kind.CONFLICT, again_ms + 1, lag_ms))
    if rng.random() < BROKEN_SHARE:
        plan.records.append(_broken(plan, application, at_ms))


def _lag_ms(channel: Channel, rng: random.Random) -> int:
    """How long before it is sent an application was filled in."""
    if channel is not Channel.CUSTOMER_MANAGER or rng.random() >= LATE_SHARE:
        return 0
    if rng.random() < TOO_LATE_SHARE:
        return DECIDE_WITHIN_MS + rng.randint(60_000, LATE_MS_MAX)
    return rng.randint(30_000, LATE_MS_MAX)


def _sent(application: Application, kind: Kind, at_ms: int, lag_ms: int) -> Sent:
    stamped = encode_application(replace(application, submitted_at=_STAMP))
    head, mark, tail = stamped.partition(_MARK)
    assert mark, "an encoded application carries submitted_at"
    return Sent(
        at_offset_ms=at_ms,
        channel=application.channel,
        kind=kind,
        key=application.applicant_token.encode(),
        head=head,
        tail=tail,
        application_id=application.application_id,
        lag_ms=lag_ms,
    )


def _broken(plan: _Plan, application: Application, at_ms: int) -> Sent:
    """A spoilt copy under an id of its own; the ways take turns, so each occurs."""
    way = WAYS[plan.reasons.total() % len(WAYS)]
    plan.reasons[way.reason] += 1
    copy = replace(application, application_id=f"{application.application_id}-broken")
    broken = break_record(way, copy.applicant_token.encode(), encode_application(copy))
    return Sent(
        at_offset_ms=at_ms,
        channel=application.channel,
        kind=Kind.BROKEN,
        key=broken.key,
        head=broken.value,
        tail=None,
        application_id=copy.application_id,
        has_version=broken.has_version,
    )


def _expected(plan: _Plan) -> Expected:
    kinds = Counter(record.kind for record in plan.records)
    return Expected(
        sent=len(plan.records),
        decided=kinds[Kind.NORMAL] + kinds[Kind.LATE],
        repeats=kinds[Kind.REPEAT],
        conflicts=kinds[Kind.CONFLICT],
        broken=kinds[Kind.BROKEN],
        broken_by_reason=dict(plan.reasons),
        by_channel=dict(Counter(record.channel.value for record in plan.records)),
    )
