"""How much of a segment's breaker limit one partition may use.

The limits are for a segment as a whole, and a worker knows the approvals of its
own partitions only. So each partition has an equal share, rounded down: the
shares never add up to more than the limit, whatever the workers know of each
other. A partition that gets more than its part of the applications trips early,
and so does every partition under a limit smaller than their number. Tripping
refers; it approves nothing, so to err this way is safe.
"""

from __future__ import annotations

from typing import NamedTuple

from stream.domain.application import Segment
from stream.domain.control import Switches
from stream.policy.model import Policy


class BreakerLimits(NamedTuple):
    """The most a partition may approve of a segment within the breaker's window."""

    approvals_max: int
    amount_max_fen: int
    limited_by: str | None = None
    """The command that set one of them or both; None where the policy did."""


def partition_shares(
    policy: Policy, switches: Switches, partitions: int
) -> dict[Segment, BreakerLimits]:
    """Each segment's share for one of `partitions`; a commanded limit replaces the policy's."""
    shares = {}
    for name, segment in policy.segments.items():
        approvals_max = segment.breaker_approvals_max
        amount_max_fen = segment.breaker_amount_max_fen
        commanded = switches.limits(name)
        if commanded is not None and commanded.approvals_max is not None:
            approvals_max = commanded.approvals_max
        if commanded is not None and commanded.amount_max_fen is not None:
            amount_max_fen = commanded.amount_max_fen
        by = commanded.command_id if commanded is not None else None
        shares[name] = BreakerLimits(approvals_max // partitions, amount_max_fen // partitions, by)
    return shares
