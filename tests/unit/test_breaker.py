"""A partition's share of the breaker's limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from policy_cases import POLICY

from stream.domain.application import Segment
from stream.domain.approvals import Approvals
from stream.domain.control import Action, Command, Scope, Switches
from stream.policy.rules import BreakerLimits, partition_shares


def limits(approvals_max: int | None, amount_max_fen: int | None) -> Switches:
    command = Command(
        command_id="cmd-00000001",
        action=Action.LIMITS,
        scope=Scope.SEGMENT,
        name="farmer",
        reason="month end",
        issued_at="2026-11-24T08:00:00Z",
        issued_by="duty",
        approvals_max=approvals_max,
        amount_max_fen=amount_max_fen,
    )
    return Switches().with_command(command, 0)


@given(
    approvals_max=st.integers(0, 10**9),
    amount_max_fen=st.integers(0, 10**13),
    partitions=st.integers(1, 10_000),
)
def test_shares_never_add_up_to_more_than_the_limit(
    approvals_max: int, amount_max_fen: int, partitions: int
) -> None:
    """All partitions together approve no more than the limit, without knowing each other."""
    share = partition_shares(POLICY, limits(approvals_max, amount_max_fen), partitions)["farmer"]
    assert approvals_max >= share.approvals_max * partitions
    assert amount_max_fen >= share.amount_max_fen * partitions


def test_a_command_replaces_only_what_it_names() -> None:
    """A limit the command leaves out, and every other segment, stays with the policy."""
    before = partition_shares(POLICY, Switches(), 6)
    after = partition_shares(POLICY, limits(60, None), 6)
    whole = BreakerLimits(10, before[Segment.FARMER].amount_max_fen, "cmd-00000001")
    assert whole == after[Segment.FARMER]
    assert before[Segment.CONSUMER] == after[Segment.CONSUMER]


def test_a_limit_below_the_number_of_partitions_approves_nothing() -> None:
    """What cannot be shared out is referred, never rounded up."""
    assert partition_shares(POLICY, limits(5, None), 6)[Segment.FARMER].approvals_max == 0


@given(
    approvals=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=20),
    asked=st.lists(st.integers(-5, 60), max_size=8),
    before_ms=st.integers(0, 50),
)
def test_asking_for_any_time_changes_no_later_answer(
    approvals: list[tuple[int, int]], asked: list[int], before_ms: int
) -> None:
    """A clock an hour ahead for one batch must not empty the window for the next."""
    window = Approvals()
    for at_ms, amount_fen in approvals:
        window.add(at_ms, amount_fen)
    window.forget(before_ms)
    kept = [approval for approval in approvals if approval[0] >= before_ms]
    for since_ms in asked:
        counted = [amount_fen for at_ms, amount_fen in kept if at_ms >= since_ms]
        assert window.since(since_ms) == (len(counted), sum(counted))


def test_the_window_takes_one_place_for_a_batch_however_many_it_approves() -> None:
    """A decision costs the same as the five-hundredth of its batch as it did as the first."""
    window = Approvals()
    for amount_fen in (3, 1, 2) * 100:
        window.add(7, amount_fen)
    window.add(9, 5)
    assert (window.instants_ms, window.counts) == ([7, 9], [300, 301])
    assert window.since(0) == (301, 605)
