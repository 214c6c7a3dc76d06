"""Whatever answers for whitelist and bureau answers alike: one list of checks, two stores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from builders import NOW_MS, FakeViews, bureau, entry, token
from policy_cases import TOKEN

from stream.domain.bureau import BureauFeatures
from stream.domain.whitelist import Conclusion, WhitelistEntry
from stream.edge.lmdb_store import (
    BUREAU,
    WHITELIST,
    Change,
    StoreReader,
    StoreWriter,
    discard_store,
)
from stream.errors import ConfigError
from stream.ports import Views

Opened = AbstractContextManager[Views]
Reading = Callable[[Sequence[Change]], Opened]
KEY = TOKEN.encode()
PLACE = (WHITELIST, 0)


@contextmanager
def _fake(changes: Sequence[Change]) -> Iterator[Views]:
    held: dict[tuple[str, bytes], WhitelistEntry | BureauFeatures] = {}
    for topic, key, record in changes:
        before = held.get((topic, key))
        if record is None:
            held.pop((topic, key), None)
        elif not (
            isinstance(record, WhitelistEntry)
            and isinstance(before, WhitelistEntry)
            and before.list_version > record.list_version
        ):
            held[topic, key] = record
    yield FakeViews(*held.values())


@pytest.fixture(params=["fake", "store"])
def reading(request: pytest.FixtureRequest, tmp_path: Path) -> Reading:
    """Views that have been fed the given changes, one after the other."""
    if request.param == "fake":
        return _fake

    @contextmanager
    def store(changes: Sequence[Change]) -> Iterator[Views]:
        with StoreWriter(tmp_path) as writer:
            for change in changes:
                writer.apply([change], {}, None)
            writer.apply([], {}, NOW_MS)
        with StoreReader(tmp_path) as reader, reader.reading() as views:
            yield views

    return store


def test_what_was_put_is_found(reading: Reading) -> None:
    """Both records come back whole, and the views say how fresh they are."""
    full = bureau(utilisation_pct=33.25, outstanding_fen=10**13)
    with reading([(WHITELIST, KEY, entry()), (BUREAU, KEY, full)]) as views:
        assert entry() == views.whitelist(TOKEN)
        assert full == views.bureau(TOKEN)
        assert views.fresh_at_ms == NOW_MS


def test_who_is_not_there_is_none(reading: Reading) -> None:
    """Nobody's offer and nobody's report are None, also when a neighbour has one."""
    with reading([(WHITELIST, KEY, entry())]) as views:
        assert views.whitelist(token(2)) is None
        assert views.bureau(TOKEN) is None


@pytest.mark.parametrize("topic", [WHITELIST, BUREAU])
def test_a_tombstone_takes_away(reading: Reading, topic: str) -> None:
    """A deleted record is gone, its namesake on the other topic stays, twice does no harm."""
    puts: list[Change] = [(WHITELIST, KEY, entry()), (BUREAU, KEY, bureau())]
    with reading([*puts, (topic, KEY, None), (topic, KEY, None)]) as views:
        assert (topic != WHITELIST) == (views.whitelist(TOKEN) is not None)
        assert (topic != BUREAU) == (views.bureau(TOKEN) is not None)


def test_an_older_list_version_is_passed_over(reading: Reading) -> None:
    """A late record of an old list never replaces a newer one; the same version does."""
    newer, older = entry(list_version=9, limit_fen=1), entry(list_version=8, limit_fen=2)
    same = entry(list_version=9, conclusion="suspended")
    with reading([(WHITELIST, KEY, newer), (WHITELIST, KEY, older)]) as views:
        assert newer == views.whitelist(TOKEN)
    with reading([(WHITELIST, KEY, newer), (WHITELIST, KEY, same)]) as views:
        found = views.whitelist(TOKEN)
    assert found is not None
    assert found.conclusion is Conclusion.SUSPENDED


def test_a_later_bureau_view_replaces_the_earlier(reading: Reading) -> None:
    """Bureau views carry no version: the last one counts."""
    changes: list[Change] = [(BUREAU, KEY, bureau(inquiries_12m=n)) for n in (1, 2)]
    with reading(changes) as views:
        assert bureau(inquiries_12m=2) == views.bureau(TOKEN)


_WRITE_LATER = """
from pathlib import Path
from builders import bureau
from test_views import BUREAU, KEY, WHITELIST, StoreWriter
with StoreWriter(Path("{folder}")) as writer:
    writer.apply([(WHITELIST, KEY, None), (BUREAU, KEY, bureau())], {{}}, 2)
"""


def test_a_snapshot_does_not_see_a_later_write(tmp_path: Path) -> None:
    """A batch decides on one state of the store; the next batch sees the next state."""
    with StoreWriter(tmp_path) as writer:
        writer.apply([(WHITELIST, KEY, entry())], {}, 1)
    with StoreReader(tmp_path) as reader:
        with reader.reading() as views:
            _in_another_process(_WRITE_LATER.format(folder=tmp_path))
            assert entry() == views.whitelist(TOKEN)
            assert views.bureau(TOKEN) is None
            assert views.fresh_at_ms == 1
        with reader.reading() as views:
            assert views.whitelist(TOKEN) is None
            assert bureau() == views.bureau(TOKEN)
            assert views.fresh_at_ms == 2


def _in_another_process(script: str) -> None:
    """As the keeper does: a process may open a store only once."""
    here = Path(__file__).parent
    path = os.pathsep.join(map(str, (here, here.parent, here.parents[1])))
    subprocess.run(
        [sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": path}
    )


class _Broken:
    """An offset that cannot be written: the writer dies in the middle of its transaction."""

    def __str__(self) -> str:
        raise RuntimeError("the writer died")


def test_a_writer_that_dies_leaves_neither_data_nor_offsets(tmp_path: Path) -> None:
    """Data and the offsets beside it are committed together or not at all."""
    with StoreWriter(tmp_path) as writer:
        writer.apply([(WHITELIST, KEY, entry())], {PLACE: 5}, NOW_MS)
        offsets = {PLACE: 6, (BUREAU, 0): _Broken()}
        with pytest.raises(RuntimeError, match="the writer died"):
            writer.apply([(WHITELIST, KEY, None), (BUREAU, KEY, bureau())], offsets, NOW_MS + 1)  # type: ignore[arg-type]
    with StoreReader(tmp_path) as reader, reader.reading() as views:
        assert reader.offsets() == {PLACE: 5}
        assert entry() == views.whitelist(TOKEN)
        assert views.bureau(TOKEN) is None
        assert views.fresh_at_ms == NOW_MS


def test_offsets_and_cluster_survive_a_restart(tmp_path: Path) -> None:
    """A new writer goes on where the last commit left off, on the cluster it belongs to."""
    with StoreWriter(tmp_path) as writer:
        assert writer.cluster_id() is None
        writer.bind("cluster-a")
        assert writer.apply([(WHITELIST, KEY, entry(list_version=9))], {PLACE: 41}, None) == 0
    with StoreWriter(tmp_path) as writer:
        assert writer.cluster_id() == "cluster-a"
        assert writer.offsets() == {PLACE: 41}
        assert writer.apply([(WHITELIST, KEY, entry(list_version=8))], {PLACE: 42}, None) == 1
        assert writer.offsets() == {PLACE: 42}
        assert writer.counts() == {WHITELIST: 1, BUREAU: 0}


def test_a_store_never_fed_is_as_old_as_time(tmp_path: Path) -> None:
    """Before the first catching-up the store is at its stalest, so nothing is approved on it."""
    StoreWriter(tmp_path).close()
    with StoreReader(tmp_path) as reader, reader.reading() as views:
        assert views.fresh_at_ms == 0


def test_a_reader_without_a_store_says_what_to_do(tmp_path: Path) -> None:
    """No store is a ConfigError with a fix, also after the store was discarded."""
    with pytest.raises(ConfigError, match="start a keeper"):
        StoreReader(tmp_path)
    StoreWriter(tmp_path / "store").close()
    discard_store(tmp_path / "store")
    with pytest.raises(ConfigError, match="start a keeper"):
        StoreReader(tmp_path / "store")
