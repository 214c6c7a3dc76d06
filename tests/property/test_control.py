"""Switches converge, whatever the order in which commands are read."""

from __future__ import annotations

from control_cases import CHANNELS, MODELS, SEGMENTS, commands
from hypothesis import given
from hypothesis import strategies as st

from stream.domain.control import Command, Switches

LOGS = st.lists(commands(), max_size=12).map(lambda found: list(enumerate(found)))


def read(log: list[tuple[int, Command]]) -> Switches:
    switches = Switches()
    for offset, each in log:
        switches = switches.with_command(each, offset)
    return switches


@given(log=LOGS, data=st.data())
def test_any_order_and_any_repeats_end_in_the_same_switches(
    log: list[tuple[int, Command]], data: st.DataObject
) -> None:
    """A worker that reads on, one that starts and one that reads twice all agree."""
    expected = read(log)
    shuffled = data.draw(st.permutations(log))
    again = data.draw(st.lists(st.sampled_from(log), max_size=6)) if log else []
    assert expected == read([*again, *shuffled, *again])


@given(log=LOGS)
def test_compaction_changes_nothing(log: list[tuple[int, Command]]) -> None:
    """Where time runs with the offsets, the newest record of each key says it all."""
    ordered = sorted(log, key=lambda each: each[1].issued_at)
    renumbered = [(offset, each) for offset, (_, each) in enumerate(ordered)]
    newest = {each.key: (offset, each) for offset, each in renumbered}
    assert read(renumbered).in_force == read(list(newest.values())).in_force


@given(
    log=LOGS,
    segment=st.sampled_from(SEGMENTS),
    channel=st.sampled_from(CHANNELS),
    model=st.sampled_from(MODELS),
)
def test_stopped_is_what_the_newest_commands_say(
    log: list[tuple[int, Command]], segment: str, channel: str, model: str
) -> None:
    """An application is stopped when, and only when, a stop in force covers it."""
    newest: dict[str, Command] = {}
    for _, each in sorted(log, key=lambda placed: (placed[1].issued_at, placed[0])):
        newest[each.key] = each
    covering = {
        each.command_id
        for each in newest.values()
        if (each.action.value == "stop" or each.refer_all) and each.covers(segment, channel, model)
    }
    stopped = read(log).stopped(segment, channel, model)
    assert bool(covering) == (stopped is not None)
    assert stopped is None or stopped in covering
