"""The funnel rows the loop publishes on `loan.funnel`."""

from __future__ import annotations

from msgspec import Struct


class FunnelRow(Struct, frozen=True):
    """Counts of one channel and segment as seen by one partition; rows add up across partitions."""

    partition: int
    channel: str
    segment: str
    submitted_count: int
    decided_count: int
    approved_count: int
    paid_count: int
    paid_within_ten_minutes_count: int
