"""The four channel simulators and their publisher."""

from __future__ import annotations

from collections import Counter

import pytest

from stream.codec.application_v1 import check_envelope, content_sha256, decode_application
from stream.codec.headers import cloud_event
from stream.config import Settings
from stream.demo.broken import WAYS
from stream.demo.channels import Kind, Schedule, Sent, build_schedule
from stream.demo.publisher import Counts, Publisher, _headers
from stream.demo.synthetic import synthetic_cases
from stream.demo.terms import Run
from stream.domain.application import Channel
from stream.domain.instant import to_ms
from stream.errors import PoisonError

NOW_MS = 1_764_000_000_000
CASES = synthetic_cases(Run(now_ms=NOW_MS, name="r1"), 4_000)


@pytest.fixture(scope="module")
def schedule() -> Schedule:
    return build_schedule(CASES, seed=7)


def test_same_seed_same_schedule(schedule: Schedule) -> None:
    """A schedule is a function of its cases and its seed."""
    assert schedule == build_schedule(CASES, seed=7)
    assert schedule.records != build_schedule(CASES, seed=8).records


def test_totals_add_up(schedule: Schedule) -> None:
    """Everything sent is decided, repeated, in conflict or broken, and counted as such."""
    expected = schedule.expected
    assert expected.decided == len(CASES)
    assert expected.sent == len(schedule.records)
    assert expected.sent == expected.decided + expected.repeats + expected.dead_letters
    assert expected.sent == sum(expected.by_channel.values())
    assert expected.broken == sum(expected.broken_by_reason.values())
    assert 20 <= expected.broken <= 70
    assert 20 <= expected.conflicts <= 70
    assert expected.repeats > 20


def test_records_come_in_time_order_and_repeats_after_their_first(schedule: Schedule) -> None:
    """No repeat or conflict overtakes the application it belongs to."""
    offsets = [record.at_offset_ms for record in schedule.records]
    assert offsets == sorted(offsets)
    seen: set[str] = set()
    for record in schedule.records:
        if record.kind in (Kind.REPEAT, Kind.CONFLICT):
            assert record.application_id in seen
        seen.add(record.application_id)


def test_repeats_are_the_same_and_conflicts_are_not(schedule: Schedule) -> None:
    """Sent with the same instant, a repeat has the first's bytes and a conflict other content."""
    first = {
        record.application_id: record
        for record in schedule.records
        if record.kind in (Kind.NORMAL, Kind.LATE)
    }
    for record in schedule.records:
        if record.kind is Kind.REPEAT:
            assert first[record.application_id].value(NOW_MS) == record.value(NOW_MS)
        if record.kind is Kind.CONFLICT:
            original = decode_application(first[record.application_id].value(NOW_MS))
            other = decode_application(record.value(NOW_MS))
            assert original.application_id == other.application_id
            assert content_sha256(original) != content_sha256(other)


def _reason(record: Sent) -> str:
    """The dead-letter reason the engine's own checks give, or `none`."""
    try:
        application = decode_application(record.value(NOW_MS))
        check_envelope(application, record.key, [*_headers(record, NOW_MS)])
    except PoisonError as error:
        return error.reason
    return "none"


def test_only_broken_records_are_refused_and_for_the_reason_promised(schedule: Schedule) -> None:
    """The engine's decoder accepts all others, and counts the broken ones by the same reasons."""
    broken = Counter(_reason(record) for record in schedule.records if record.kind is Kind.BROKEN)
    others = {_reason(record) for record in schedule.records if record.kind is not Kind.BROKEN}
    assert schedule.expected.broken_by_reason == dict(broken)
    assert others == {"none"}
    assert {way.reason for way in WAYS} == set(broken)


def test_stamp_is_the_instant_of_sending(schedule: Schedule) -> None:
    """`submitted_at` is written when a record is sent, not when it was planned."""
    record = next(record for record in schedule.records if record.kind is Kind.NORMAL)
    assert to_ms(decode_application(record.value(NOW_MS + 123)).submitted_at) == NOW_MS + 123


def test_h5_comes_in_bursts(schedule: Schedule) -> None:
    """Everything h5 sends lies on the two-second grid, dozens at once."""
    h5 = [r.at_offset_ms for r in schedule.records if r.channel is Channel.H5 and not r.lag_ms]
    firsts = [at for at in h5 if at % 2_000 == 0]
    assert len(firsts) > 0.9 * len(h5)
    assert max(Counter(firsts).values()) > 30


def test_customer_managers_send_late_records(schedule: Schedule) -> None:
    """Only they do; a few are older than the ten minutes."""
    late = [record for record in schedule.records if record.lag_ms]
    assert {Channel.CUSTOMER_MANAGER} == {record.channel for record in late}
    assert any(record.lag_ms > 600_000 for record in late)
    assert any(record.lag_ms < 600_000 for record in late)


def test_own_offsets_are_kept() -> None:
    """A replay's own calendar decides when its cases are sent."""
    records = build_schedule(CASES[:3], 7, [0, 50_000, 90_000]).records
    firsts = [r for r in records if r.kind in (Kind.NORMAL, Kind.LATE)]
    assert firsts[-1].at_offset_ms >= 90_000


def test_counts_add_up_by_channel_and_kind(schedule: Schedule) -> None:
    """Every record counts once under its channel and once under its kind."""
    counts = Counts()
    for record in schedule.records:
        counts.sent(record)
    assert schedule.expected.sent == counts.total
    assert schedule.expected.by_channel == counts.by_channel()
    assert schedule.expected.repeats == counts.by_kind()["repeat"]


def test_a_rate_must_be_positive(schedule: Schedule) -> None:
    """Zero a second would never end."""
    with pytest.raises(ValueError, match="positive"):
        Publisher(Settings(), schedule, 0)


def test_headers_name_the_channel() -> None:
    """The source of the event is the channel, its id the application's."""
    record = build_schedule(CASES[:1], 7).records[0]
    expected = cloud_event(
        "loan.application.v1",
        f"/channels/{record.channel.value}",
        record.application_id,
        "2025-11-24T16:00:00.000Z",
    )
    assert expected == _headers(record, NOW_MS)
