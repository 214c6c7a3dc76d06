"""What the store holds follows from what was said, not from how often or in what order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
from builders import entry
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.domain.topics import WHITELIST
from stream.domain.whitelist import WhitelistEntry
from stream.edge.lmdb_store import Change, StoreReader, StoreWriter

FEW = settings(deadline=None, max_examples=15)
people = st.integers(0, 4)


def offer(person: int, version: int) -> WhitelistEntry:
    """The one offer that a list version makes to a person."""
    return msgspec.structs.replace(
        entry(),
        applicant_token=f"a1_{person:032x}",
        list_version=version,
        limit_fen=10_000 * (1 + person + 10 * version),
    )


def put(person: int, version: int) -> Change:
    said = offer(person, version)
    return WHITELIST, said.applicant_token.encode(), said


@FEW
@given(
    st.lists(st.tuples(people, st.integers(1, 5)), min_size=1, max_size=20).flatmap(
        lambda said: st.permutations(said + said[::2])
    ),
    st.integers(1, 5),
)
def test_updates_in_any_order_and_twice_converge_to_the_newest(
    said: list[tuple[int, int]], size: int
) -> None:
    """Each person ends with the offer of the highest list version that was ever said."""
    with tempfile.TemporaryDirectory() as folder:
        with StoreWriter(Path(folder)) as store:
            for start in range(0, len(said), size):
                store.apply([put(*each) for each in said[start : start + size]], {}, None)
        newest: dict[int, int] = {}
        for person, version in said:
            newest[person] = max(version, newest.get(person, 0))
        with StoreReader(Path(folder)) as reader, reader.reading() as views:
            for person, version in newest.items():
                expected = offer(person, version)
                assert expected == views.whitelist(expected.applicant_token)


@FEW
@given(st.lists(people, min_size=1, max_size=5, unique=True), st.integers(2, 5))
def test_a_list_is_swapped_between_two_readings(listed: list[int], version: int) -> None:
    """A reading that began before a swap sees the old list to its end, one after it the new.

    The writer goes on beside the reader in the same environment, as in two processes.
    """
    with tempfile.TemporaryDirectory() as folder, StoreWriter(Path(folder)) as store:
        store.apply([put(person, 1) for person in listed], {(WHITELIST, 0): 1}, None)
        before = dict(store.raw(WHITELIST))
        with store._env.begin(db=store._tables[WHITELIST]) as old:
            store.apply([put(p, version) for p in listed], {(WHITELIST, 0): 2}, None)
            assert before == {key: old.get(key) for key in before}
        versions = {msgspec.msgpack.decode(v)["list_version"] for _, v in store.raw(WHITELIST)}
        assert {version} == versions
        assert store.offsets() == {(WHITELIST, 0): 2}
