"""The funnel's counts, whatever the order and however often records are delivered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.loop.funnel import (
    Counts,
    Fact,
    Progress,
    Source,
    Tally,
    advance,
    decode_progress,
    encode_progress,
)

TEN_MINUTES_MS = 600_000


def facts_of(number: int, reached: int) -> list[Fact]:
    """What is said of one application that came as far as stage `reached` (1 to 5)."""
    who = (f"application-{number}", ("h5", "mobile_bank")[number % 2], "farmer")
    facts = [Fact(Source.APPLICATION, *who, submitted_at_ms=1_000)]
    if reached >= 2:
        approved = reached >= 3
        facts.append(Fact(Source.DECISION, *who, submitted_at_ms=1_000, approved=approved))
    if reached >= 4:
        late = TEN_MINUTES_MS + (1_000 if reached == 5 else 1_001)
        facts.append(Fact(Source.OUTCOME, *who, paid_at_ms=late))
    return facts


def totals(facts: list[Fact]) -> list[tuple[object, ...]]:
    progress: dict[str, Progress] = {}
    tally = Tally()
    for fact in facts:
        before = progress.get(fact.application_id)
        after = advance(before, fact, partition=0)
        progress[fact.application_id] = decode_progress(encode_progress(after))
        tally.move(before, after)
    rows = [
        (row.channel, row.submitted_count, row.decided_count, row.approved_count, row.paid_count,
         row.paid_within_ten_minutes_count)
        for row in tally.take_changed()
    ]  # fmt: skip
    anew = Tally(progress.values()).take_changed()
    assert [row[1] for row in rows] == [row.submitted_count for row in anew]
    return rows


@given(reached=st.lists(st.integers(1, 5), min_size=1, max_size=8), data=st.data())
def test_order_and_redelivery_change_nothing(reached: list[int], data: st.DataObject) -> None:
    """Any order of the same facts, some of them delivered again, gives the same counts."""
    facts = [fact for number, stage in enumerate(reached) for fact in facts_of(number, stage)]
    again = data.draw(st.lists(st.sampled_from(facts), max_size=10))
    shuffled = data.draw(st.permutations(facts + again))
    assert totals(facts) == totals(shuffled)
    assert len(reached) == sum(int(str(row[1])) for row in totals(shuffled))


def test_each_stage_is_counted_and_the_ten_minutes_include_their_edge() -> None:
    """Paid at exactly ten minutes is in time, one millisecond later is not."""
    in_time = [("mobile_bank", 1, 1, 1, 1, 1)]
    late = [("mobile_bank", 1, 1, 1, 1, 0)]
    referred = [("mobile_bank", 1, 1, 0, 0, 0)]
    assert in_time == totals(facts_of(1, 5))
    assert late == totals(facts_of(1, 4))
    assert referred == totals(facts_of(1, 2))


def test_the_decision_names_the_row_when_an_application_disagrees() -> None:
    """A conflicting application under the same id moves nothing once it is decided."""
    decided = Fact(Source.DECISION, "application-1", "h5", "farmer", submitted_at_ms=5)
    other = Fact(Source.APPLICATION, "application-1", "mobile_bank", "consumer", submitted_at_ms=9)
    both = advance(advance(None, decided, 0), other, 0)
    assert both.row == (0, "h5", "farmer")
    assert both.submitted_at_ms == 5
    assert both == advance(advance(None, other, 0), decided, 0)


def test_a_row_left_empty_is_published_with_zeroes() -> None:
    """When a decision renames an application's row, the old row's count goes back to zero."""
    claimed = Fact(Source.APPLICATION, "application-1", "mobile_bank", "consumer")
    decided = Fact(Source.DECISION, "application-1", "h5", "farmer")
    before = advance(None, claimed, 0)
    tally = Tally([before])
    tally.move(before, advance(before, decided, 0))
    rows = {row.channel: row.submitted_count for row in tally.take_changed()}
    assert rows == {"h5": 1, "mobile_bank": 0}
    assert Counts(3, 1) == Counts(1, 1).plus(Counts(2, 0))
