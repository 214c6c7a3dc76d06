"""The store against two others on the same keys: LMDB, RocksDB, a hash-indexed snapshot.

    PYTHONPATH=. python bench/stores.py --entries 1e5 --json out.json

Each kind runs in a process of its own on an empty folder: load in order of key, close, open
again (with --cold after the machine's page cache was emptied), look up batches that hit and that
miss, then look up while another thread updates at random. Values have 64 bytes, as a packed
offer has. Bytes are blocks on disk. Needs the `bench` extra.
"""

# ruff: noqa: D102 - the methods are those of `Store`
from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import lmdb
import numpy as np
from rocksdict import BlockBasedOptions, Cache, Options, Rdict, WriteBatch

VALUE_BYTES, KEY_BYTES, BATCH, CHUNK = 64, 18, 500, 1_000_000
Pairs = Iterable[tuple[bytes, bytes]]


class Store(Protocol):
    """What the bench asks of a store."""

    def load(self, pairs: Pairs) -> None: ...
    def open(self) -> None: ...
    def get(self, keys: Sequence[bytes]) -> int: ...
    def put(self, pairs: Sequence[tuple[bytes, bytes]]) -> None: ...
    def close(self) -> None: ...


def key_of(number: int) -> bytes:
    """A compact token: its order is that of the numbers, its bits are not."""
    tail = hashlib.blake2b(number.to_bytes(8, "big"), digest_size=8).digest()
    return b"1_" + number.to_bytes(8, "big") + tail


def value_of(number: int) -> bytes:
    """A packed offer's worth of bytes."""
    return number.to_bytes(8, "little") * (VALUE_BYTES // 8)


class Lmdb:
    """As the engine has it, with packed values."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._map = folder, max(1 << 30, size * 400)

    def load(self, pairs: Pairs) -> None:
        self.open()
        batch: list[tuple[bytes, bytes]] = []
        for pair in pairs:
            batch.append(pair)
            if len(batch) == CHUNK:
                self._append(batch)
                batch = []
        self._append(batch)
        self.close()

    def _append(self, batch: list[tuple[bytes, bytes]]) -> None:
        with self._env.begin(write=True) as txn, txn.cursor() as cursor:
            cursor.putmulti(batch, append=True)

    def open(self) -> None:
        self._env = lmdb.open(str(self._folder), map_size=self._map, metasync=False)

    def get(self, keys: Sequence[bytes]) -> int:
        with self._env.begin(buffers=True) as txn:
            get = txn.get
            return sum(get(key) is not None for key in keys)

    def put(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        with self._env.begin(write=True) as txn, txn.cursor() as cursor:
            cursor.putmulti(sorted(pairs))

    def close(self) -> None:
        self._env.close()


class Rocks:
    """RocksDB with a Bloom filter of 10 bits and point look-ups in mind."""

    def __init__(self, folder: Path, size: int) -> None:
        del size
        self._folder = folder

    def load(self, pairs: Pairs) -> None:
        self.open()
        batch = WriteBatch(raw_mode=True)
        for number, (key, value) in enumerate(pairs, start=1):
            batch.put(key, value)
            if number % 100_000 == 0:
                self._db.write(batch)
                batch = WriteBatch(raw_mode=True)
        self._db.write(batch)
        self._db.flush()
        self.close()

    def open(self) -> None:
        options, blocks = Options(raw_mode=True), BlockBasedOptions()
        options.create_if_missing(True)
        blocks.set_bloom_filter(10, False)
        blocks.set_block_cache(Cache(256 << 20))
        options.set_block_based_table_factory(blocks)
        self._db = Rdict(str(self._folder), options)

    def get(self, keys: Sequence[bytes]) -> int:
        return sum(value is not None for value in self._db[list(keys)])

    def put(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        batch = WriteBatch(raw_mode=True)
        for key, value in pairs:
            batch.put(key, value)
        self._db.write(batch)

    def close(self) -> None:
        self._db.close()


class Hashed:
    """Rows in a mapped file, an open-addressed table of row numbers, updates in a dict over it.

    The hash is the token's own random tail. The overlay is not durable: it is fed from the topic
    again from the snapshot's offset on.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._slots = 1 << max(4, (size * 3 // 2).bit_length())

    def load(self, pairs: Pairs) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        slots = np.memmap(self._folder / "slots", "<u4", "w+", shape=self._slots)
        step, start = KEY_BYTES + VALUE_BYTES, 0
        with (self._folder / "rows").open("wb") as rows:
            chunk: list[bytes] = []
            for key, value in pairs:
                chunk += (key, value)
                if len(chunk) == 2 * CHUNK:
                    start = self._index(slots, b"".join(chunk), start, step, rows.write)
                    chunk = []
            self._index(slots, b"".join(chunk), start, step, rows.write)
        slots.flush()

    def _index(
        self, slots: np.memmap, raw: bytes, start: int, step: int, write: Callable[[bytes], int]
    ) -> int:
        """Place every row at its first free slot, all of a round at once."""
        write(raw)
        table = np.frombuffer(raw, np.uint8).reshape(-1, step)
        hashes = np.ascontiguousarray(table[:, KEY_BYTES - 8 : KEY_BYTES]).view("<u8").ravel()
        at = (hashes & np.uint64(self._slots - 1)).astype(np.int64)
        left = np.arange(len(at))
        while len(left):
            free = left[slots[at[left]] == 0]
            _, first = np.unique(at[free], return_index=True)
            placed = free[first]
            slots[at[placed]] = (start + placed + 1).astype(np.uint32)
            left = np.setdiff1d(left, placed, assume_unique=True)
            at[left] = (at[left] + 1) & (self._slots - 1)
        return start + len(table)

    def open(self) -> None:
        self._slots_map = np.memmap(self._folder / "slots", "<u4", "r")
        self._rows = np.memmap(self._folder / "rows", np.uint8, "r").reshape(
            -1, KEY_BYTES + VALUE_BYTES
        )
        self._over: dict[bytes, bytes] = {}

    def get(self, keys: Sequence[bytes]) -> int:
        over = self._over
        found = sum(key in over for key in keys) if over else 0
        asked = [key for key in keys if key not in over] if over else keys
        if not asked:
            return found
        wanted = np.frombuffer(b"".join(asked), np.uint8).reshape(-1, KEY_BYTES)
        hashes = np.ascontiguousarray(wanted[:, KEY_BYTES - 8 :]).view("<u8").ravel()
        at = (hashes & np.uint64(self._slots - 1)).astype(np.int64)
        left = np.arange(len(asked))
        while len(left):
            rows = self._slots_map[at[left]].astype(np.int64)
            left, rows = left[rows > 0], rows[rows > 0] - 1
            same = (self._rows[rows, :KEY_BYTES] == wanted[left]).all(axis=1)
            found += int(same.sum())
            left = left[~same]
            at[left] = (at[left] + 1) & (self._slots - 1)
        return found

    def put(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        self._over.update(pairs)

    def close(self) -> None:
        del self._slots_map, self._rows


KINDS: dict[str, Callable[[Path, int], Store]] = {
    "lmdb": Lmdb, "rocksdb": Rocks, "hashed": Hashed,
}  # fmt: skip


def _bytes(folder: Path) -> int:
    return sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.is_file())


def _lookups(store: Store, batches: list[list[bytes]], expected: int) -> dict[str, float]:
    """Median and p99 of microseconds per key, over batches; every batch's answer is checked."""
    took = []
    for batch in batches:
        begin = time.perf_counter()
        found = store.get(batch)
        took.append(1e6 * (time.perf_counter() - begin) / len(batch))
        if found != expected:
            raise AssertionError(f"{found} of {len(batch)} keys found, expected {expected}")
    return {"p50_us": float(np.median(took)), "p99_us": float(np.percentile(took, 99))}


def _beside_updates(store: Store, size: int, batches: list[list[bytes]]) -> dict[str, Any]:
    stop, rng, written = threading.Event(), np.random.default_rng(9), [0]

    def update() -> None:
        while not stop.is_set():
            numbers = rng.integers(0, size, 5_000).tolist()
            store.put([(key_of(number), value_of(number)) for number in numbers])
            written[0] += len(numbers)

    writer, begin = threading.Thread(target=update), time.perf_counter()
    writer.start()
    try:
        found = _lookups(store, batches, BATCH)
    finally:
        stop.set()
        writer.join()
    return {**found, "updates_per_second": written[0] / (time.perf_counter() - begin)}


def measure(kind: str, folder: Path, size: int, batches: int, *, cold: bool) -> dict[str, Any]:
    """All figures of one kind at one size."""
    rng = np.random.default_rng(7)
    store = KINDS[kind](folder, size)
    begin = time.perf_counter()
    store.load((key_of(number), value_of(number)) for number in range(size))
    loaded = time.perf_counter() - begin
    hit = [[key_of(n) for n in row] for row in rng.integers(0, size, (batches, BATCH)).tolist()]
    miss = [
        [key_of(n + size) for n in row] for row in rng.integers(0, size, (batches, BATCH)).tolist()
    ]
    if cold:
        Path("/proc/sys/vm/drop_caches").write_text("1", encoding="ascii")
    begin = time.perf_counter()
    store.open()
    store.get(hit[0])
    start = time.perf_counter() - begin
    first = _lookups(store, hit, BATCH)
    figures = {
        "kind": kind, "entries": size, "bytes_per_entry": _bytes(folder) / size,
        "load_per_second": size / loaded, "start_seconds": start, "start_was_cold": cold,
        "hit_first": first, "hit_warm": _lookups(store, hit, BATCH),
        "miss": _lookups(store, miss, 0), "hit_beside_updates": _beside_updates(store, size, hit),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }  # fmt: skip
    store.close()
    return figures


def main() -> None:
    """Measure what the command line asks for; one line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=float, nargs="+", default=[1e5])
    parser.add_argument("--kinds", nargs="+", choices=sorted(KINDS), default=sorted(KINDS))
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument(
        "--cold", action="store_true", help="Empty the whole machine's page cache first; root."
    )
    parser.add_argument("--folder", type=Path, help="A place with room, by default /tmp.")
    parser.add_argument("--json", type=Path, help="Append a line of JSON for each run.")
    asked = parser.parse_args()
    for size in map(int, asked.entries):
        for kind in asked.kinds:
            place = Path(tempfile.mkdtemp(dir=asked.folder))
            try:
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    found = pool.apply(
                        measure, (kind, place / kind, size, asked.batches), {"cold": asked.cold}
                    )
            finally:
                shutil.rmtree(place)
            print(json.dumps(found), flush=True)
            if asked.json:
                with asked.json.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
