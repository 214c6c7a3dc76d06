"""Switches converge, whatever the order in which commands are read."""

from __future__ import annotations

from control_cases import command
from hypothesis import given
from hypothesis import strategies as st

from stream.domain.control import Command, Switches

SEGMENTS, CHANNELS, MODELS = ("farmer", "consumer"), ("h5", "mobile_bank"), ("farmer", "consumer")
SCOPED = st.one_of(
    st.just(("everything", "all")),
    st.tuples(st.just("segment"), st.sampled_from(SEGMENTS)),
    st.tuples(st.just("channel"), st.sampled_from(CHANNELS)),
    st.tuples(st.just("model"), st.sampled_from(MODELS)),
)


@st.composite
def commands(draw: st.DrawFn) -> Command:
    """Any command, issued within the same few milliseconds so that ties are frequent."""
    at = {"issued_at": f"2026-11-24T08:00:00.00{draw(st.integers(0, 3))}Z"}
    at["command_id"] = f"cmd-{draw(st.integers(0, 10**8)):08}"
    if draw(st.booleans()):
        limit = draw(st.none() | st.integers(0, 100))
        name = draw(st.sampled_from(SEGMENTS))
        return command(action="limits", scope="segment", name=name, approvals_max=limit, **at)
    scope, name = draw(SCOPED)
    action = draw(st.sampled_from(("stop", "resume")))
    return command(action=action, scope=scope, name=name, **at)


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
    assert expected.record() == read(shuffled).record()


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
        if each.action.value == "stop" and each.covers(segment, channel, model)
    }
    stopped = read(log).stopped(segment, channel, model)
    assert bool(covering) == (stopped is not None)
    assert stopped is None or stopped in covering
