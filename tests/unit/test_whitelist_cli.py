"""A snapshot is whole, young enough and unchanged, or it is refused with one line."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from builders import bureau, entry
from typer.testing import CliRunner

from stream.cli import app
from stream.domain.topics import BUREAU, WHITELIST
from stream.edge.lmdb_store import StoreReader, StoreWriter
from stream.edge.store_snapshot import restore_snapshot, take_snapshot
from stream.errors import ConfigError
from stream.ops.whitelist import diff, stats, verify_store
from stream.ops.whitelist_plot import whitelist_svg

NOW_MS = 1_795_593_600_000
HOUR_MS = 3_600_000
OFFSETS = {(WHITELIST, 0): 41, (BUREAU, 3): 7}


def fill(folder: Path, limits_fen: dict[int, int], version: int = 1) -> None:
    """A store of some people with offers, level with its topics an hour ago."""
    with StoreWriter(folder) as store:
        store.bind("cluster")
        for number, limit_fen in limits_fen.items():
            said = msgspec.structs.replace(
                entry(), applicant_token=f"a1_{number:032x}", limit_fen=limit_fen,
                list_version=version,
            )  # fmt: skip
            store.apply([(WHITELIST, said.applicant_token.encode(), said)], {}, None)
        view = bureau()
        store.apply([(BUREAU, view.applicant_token.encode(), view)], OFFSETS, NOW_MS - HOUR_MS)


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    fill(tmp_path / "store", {1: 1_000_000, 2: 2_000_000, 3: 60_000_000})
    file = tmp_path / "v1.snapshot"
    take_snapshot(tmp_path / "store", file, NOW_MS)
    return file


def restored(file: Path, folder: Path, retention_ms: int = 24 * HOUR_MS) -> Path:
    restore_snapshot(file, folder, NOW_MS, retention_ms, verify_store)
    return folder


def test_a_restored_store_is_the_store(snapshot: Path, tmp_path: Path) -> None:
    """Records, offsets and cluster are those of the copied one; nothing else is left behind."""
    new = restored(snapshot, tmp_path / "new")
    with StoreReader(new) as store:
        assert (store.offsets(), store.cluster_id()) == (OFFSETS, "cluster")
    counted = diff(tmp_path / "store", new)
    assert (counted["same"], sum(counted.values())) == (3, 3)
    assert {"store", "new", "v1.snapshot"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("where", [3, 200, -5_000, -1])
def test_a_flipped_byte_is_found(snapshot: Path, tmp_path: Path, where: int) -> None:
    """In the header, in the image, in its last byte: no store comes of it."""
    raw = bytearray(snapshot.read_bytes())
    raw[where] ^= 1
    snapshot.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"damaged|have changed"):
        restored(snapshot, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("keep", [0, 100, 5_000])
def test_a_truncated_file_is_found(snapshot: Path, tmp_path: Path, keep: int) -> None:
    """Cut in its header or in its image."""
    snapshot.write_bytes(snapshot.read_bytes()[:keep])
    with pytest.raises(ConfigError, match=r"damaged|truncated"):
        restored(snapshot, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_snapshot_older_than_the_tombstones_is_refused(snapshot: Path, tmp_path: Path) -> None:
    """Counted from when the store was level with its topics, not from when it was copied."""
    with pytest.raises(ConfigError, match="1 h old and the topics keep tombstones for 1 h"):
        restored(snapshot, tmp_path / "new", HOUR_MS)
    restored(snapshot, tmp_path / "new", HOUR_MS + 1)


def test_an_existing_store_is_never_replaced(snapshot: Path, tmp_path: Path) -> None:
    """A keeper may have it open."""
    with pytest.raises(ConfigError, match="there is a store"):
        restored(snapshot, tmp_path / "store")


def test_two_versions_are_compared(snapshot: Path, tmp_path: Path) -> None:
    """A snapshot against a store of the next list: each person counts once."""
    fill(tmp_path / "next", {2: 1_000_000, 3: 70_000_000, 4: 1_000_000}, version=2)
    assert diff(snapshot, tmp_path / "next") == {
        "added": 1, "removed": 1, "limit_up": 1, "limit_down": 1, "other": 0, "same": 0,
    }  # fmt: skip


def test_a_record_that_is_not_what_it_was_is_named(tmp_path: Path) -> None:
    """`verify` reads every record and says which one is damaged, without its key."""
    fill(tmp_path, {1: 1_000_000})
    with StoreWriter(tmp_path) as store, store._env.begin(write=True) as txn:
        txn.put(b"a1_x", b"\xc1", db=store._tables[WHITELIST])
    with pytest.raises(ConfigError, match=r"record 2 of whitelist.entries is damaged"):
        verify_store(tmp_path)


def test_stats_add_up_and_are_drawn(snapshot: Path, tmp_path: Path) -> None:
    """Each offer is in one grade and one class of limit of its segment; the plot names them."""
    found = stats(tmp_path / "store", NOW_MS)
    assert 3 == found["entries"] == sum(sum(row) for row in found["limits"].values())
    assert sum(sum(grades.values()) for grades in found["grades"].values()) == 3
    assert "Standing offers" in whitelist_svg(found)


def test_the_verbs_answer_in_json(
    snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`get`, `verify` and `stats` of the store that the settings name."""
    monkeypatch.setenv("TENMINUTE_STATE_DIR", str(tmp_path))
    asked = {
        "get": ["get", f"a1_{1:032x}"], "verify": ["verify"], "stats": ["stats"],
    }  # fmt: skip
    answers = {
        name: json.loads(CliRunner().invoke(app, ["whitelist", *words, "--json"]).stdout)
        for name, words in asked.items()
    }
    assert answers["get"]["limit_fen"] == 1_000_000
    assert answers["verify"] == {WHITELIST: 3, BUREAU: 1}
    assert answers["stats"]["entries"] == 3
