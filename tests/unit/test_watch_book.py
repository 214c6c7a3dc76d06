"""The watch's book and the order of its records: a restart, at any moment, changes no number."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watch_records import approval, outcome, population, reference_of

from stream.codec.headers import cloud_event
from stream.domain.application import Segment
from stream.domain.decision import Audit
from stream.domain.outcome import LoanOutcome, OutcomeEvent
from stream.domain.topics import AUDIT
from stream.edge.watch_book import Next, WatchBook
from stream.errors import ConfigError
from stream.policy.model import Guard
from stream.ports import Record
from stream.scoring.manifest import load_manifest
from stream.watch.drift import DriftTerms
from stream.watch.guard import GuardState
from stream.watch.merge import WAITING_MAX, Merge
from stream.watch.report import report
from stream.watch.watch import Terms, Watch

MODELS = Path(__file__).parents[2] / "models" / "onnx"
CONSUMER = load_manifest(next((MODELS / "consumer").glob("*/")))
REFERENCES = {CONSUMER.onnx_sha256: reference_of(CONSUMER)}
TERMS = Terms(REFERENCES, Guard(), DriftTerms(window_events=100))
STATES = dict.fromkeys(Segment, GuardState.NORMAL)
Told = Audit | LoanOutcome


def _story() -> list[Told]:
    """Scored cases of three windows and a half, and loans that go well or badly, mixed."""
    loans = [approval(number, number) for number in range(1_000, 1_060)]
    told: list[Told] = [*population(CONSUMER, 350, 4), *loans]
    for number, loan in enumerate(loans):
        told.append(outcome(loan, OutcomeEvent.DISBURSED, number + 1))
        if number % 7 == 0:
            told.append(outcome(loan, OutcomeEvent.PAST_DUE, number + 40, days_past_due=30))
            told.append(outcome(loan, OutcomeEvent.DEFAULT, number + 100))
    random.Random(1).shuffle(told)
    return told


STORY = _story()


def _hear(watch: Watch, told: list[Told]) -> None:
    for each in told:
        if isinstance(each, LoanOutcome):
            watch.hear_outcome(each)
        else:
            watch.hear_audit(each)


def _opened(folder: Path) -> tuple[WatchBook, Watch]:
    book = WatchBook(folder)
    return book, Watch(TERMS, book, book.loans(), book.kept())


def _whole() -> object:
    watch = Watch(TERMS, {})
    _hear(watch, STORY)
    return report(watch, STATES, Guard())


def test_a_watch_killed_at_any_moment_says_the_same_in_the_end(tmp_path: Path) -> None:
    """Each life saves somewhere, reads on unsaved and ends; the next goes on from the save."""
    at = 0
    for number in range(12):
        book, watch = _opened(tmp_path)
        assert [at] == [each.offset for each in book.offsets()] or number == 0
        saved_to = min(len(STORY), at + 53)
        _hear(watch, STORY[at:saved_to])
        book.save([Next(AUDIT, 0, saved_to)], watch.kept)
        _hear(watch, STORY[saved_to : saved_to + 31])  # lost with the process
        book.close()
        at = saved_to
    book, watch = _opened(tmp_path)
    _hear(watch, STORY[at:])
    assert _whole() == report(watch, STATES, Guard())
    book.close()


def test_a_copy_leaves_the_file_alone(tmp_path: Path) -> None:
    """Looking once reads on in memory, also while another watch writes."""
    book, watch = _opened(tmp_path)
    _hear(watch, STORY[:300])
    book.save([Next(AUDIT, 0, 300)], watch.kept)
    copy = WatchBook.copy_of(tmp_path)
    looking = Watch(TERMS, copy, copy.loans(), copy.kept())
    _hear(looking, STORY[300:])
    assert _whole() == report(looking, STATES, Guard())
    copy.save([Next(AUDIT, 0, len(STORY))], looking.kept)
    copy.close()
    assert [each.offset for each in book.offsets()] == [300]
    book.close()


def test_a_copy_of_nothing_is_empty(tmp_path: Path) -> None:
    """Where no watch has run yet, looking begins at the beginning and leaves no file."""
    copy = WatchBook.copy_of(tmp_path / "none")
    assert (copy.offsets(), copy.kept(), list(copy.loans())) == ([], None, [])
    assert not (tmp_path / "none").exists()
    copy.close()


def test_one_watch_at_a_time(tmp_path: Path) -> None:
    """A second one would count with half of what the first has read."""
    book = WatchBook(tmp_path)
    with pytest.raises(ConfigError, match="another watch"):
        WatchBook(tmp_path)
    book.close()
    WatchBook(tmp_path).close()


def test_a_book_stays_with_its_cluster(tmp_path: Path) -> None:
    """Offsets of one cluster mean nothing in another."""
    book, watch = _opened(tmp_path)
    book.belongs_to("cluster-a")
    book.save([], watch.kept)
    book.belongs_to("cluster-a")
    with pytest.raises(ConfigError, match="cluster-a"):
        book.belongs_to("cluster-b")
    book.close()


def _record(partition: int, offset: int, at_ms: int) -> Record:
    return Record(AUDIT, partition, offset, b"k", b"{}", cloud_event("t", "/t", "i", "a"), at_ms)


@given(st.lists(st.lists(st.integers(0, 50), max_size=15), min_size=1, max_size=4), st.data())
def test_the_order_does_not_hang_on_how_records_were_fetched(
    times: list[list[int]], data: st.DataObject
) -> None:
    """However stretches of partitions come in, they go out by time, in the same order."""
    records = [
        [_record(number, offset, at) for offset, at in enumerate(sorted(each))]
        for number, each in enumerate(times)
    ]
    merge, out = Merge(range(len(records))), []
    waiting = [list(each) for each in records]
    while any(waiting):
        number = data.draw(st.sampled_from([n for n, each in enumerate(waiting) if each]))
        for _ in range(data.draw(st.integers(1, len(waiting[number])))):
            merge.take(waiting[number].pop(0))
        out += merge.ready()
    for number in range(len(records)):
        merge.ended(number)
    out += merge.ready()
    expected = sorted(
        (record for each in records for record in each),
        key=lambda record: (record.timestamp_ms, record.partition, record.offset),
    )
    assert expected == out
    assert merge.caught_up


def test_a_partition_far_ahead_is_named() -> None:
    """So that it is read no further while another has not shown what it has."""
    merge = Merge((0, 1))
    for offset in range(WAITING_MAX):
        merge.take(_record(0, offset, offset))
    assert list(merge.ready()) == []
    assert merge.full() == {0}
    merge.ended(1)
    assert len(list(merge.ready())) == WAITING_MAX
    assert merge.full() == set()
