"""Looking into the whitelist store: walk it, count it, compare two of its versions."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from stream.domain.bureau import BureauFeatures
from stream.domain.instant import to_ms
from stream.domain.topics import BUREAU, WHITELIST
from stream.domain.whitelist import WhitelistEntry
from stream.edge.lmdb_store import StoreReader, read_bureau, read_entry
from stream.edge.store_snapshot import restore_snapshot
from stream.errors import ConfigError

LIMIT_STEPS_FEN = (1_000_000, 3_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000)
"""Upper edges of the classes of limits: 10,000 to 500,000 yuan, then above."""
_READERS: dict[str, Callable[[bytes], WhitelistEntry | BureauFeatures]] = {
    WHITELIST: read_entry,
    BUREAU: read_bureau,
}


def verify_store(folder: Path) -> dict[str, int]:
    """Records of each table, every one read; ConfigError at the first that is not what it was."""
    found = {}
    with StoreReader(folder) as store:
        for topic, read in _READERS.items():
            rows = 0
            for rows, (key, value) in enumerate(store.raw(topic), start=1):
                try:
                    sound = read(value).applicant_token.encode() == key
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    sound = False
                if not sound:
                    raise ConfigError(
                        f"{folder}: record {rows} of {topic} is damaged",
                        fix="stop the engine and remove the store; the keeper reads it again",
                    )
            if rows != store.counts()[topic]:
                raise ConfigError(
                    f"{folder}: {topic} has {rows} records and counts {store.counts()[topic]}",
                    fix="stop the engine and remove the store; the keeper reads it again",
                )
            found[topic] = rows
    return found


def stats(folder: Path, now_ms: int) -> dict[str, Any]:
    """How many offers by segment, grade, limit, list version; how many have ended."""
    grades: dict[str, Counter[str]] = {}
    limits: dict[str, list[int]] = {}
    versions: Counter[int] = Counter()
    said: Counter[str] = Counter()
    with StoreReader(folder) as store:
        for _, value in store.raw(WHITELIST):
            entry = read_entry(value)
            segment = entry.segment.value
            grades.setdefault(segment, Counter())[entry.risk_grade] += 1
            classes = limits.setdefault(segment, [0] * (len(LIMIT_STEPS_FEN) + 1))
            classes[sum(entry.limit_fen > edge for edge in LIMIT_STEPS_FEN)] += 1
            versions[entry.list_version] += 1
            said[entry.conclusion.value] += 1
            said["ended"] += to_ms(entry.valid_to) <= now_ms
        counts = store.counts()
    size = (folder / "data.mdb").stat().st_blocks * 512
    return {
        "entries": counts[WHITELIST],
        "bureau": counts[BUREAU],
        "bytes": size,
        "conclusions": dict(said),
        "list_versions": {str(version): count for version, count in sorted(versions.items())},
        "grades": {segment: dict(sorted(found.items())) for segment, found in grades.items()},
        "limit_steps_fen": list(LIMIT_STEPS_FEN),
        "limits": limits,
    }


@contextmanager
def opened(place: Path) -> Iterator[StoreReader]:
    """A store's folder, or a snapshot unpacked beside the system's other passing files."""
    if place.is_dir():
        with StoreReader(place) as store:
            yield store
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "store"
        # Compared with another, not put to work: how old it is does not matter.
        restore_snapshot(place, target, 0, 1, lambda _: None)
        with StoreReader(target) as store:
            yield store


def diff(old: Path, new: Path) -> dict[str, int]:
    """How many came onto the list, left it, or have another offer now; keys go by in order."""
    counts = Counter(added=0, removed=0, limit_up=0, limit_down=0, other=0, same=0)
    with opened(old) as one, opened(new) as two:
        before, after = one.raw(WHITELIST), two.raw(WHITELIST)
        left, right = next(before, None), next(after, None)
        while left is not None or right is not None:
            if right is None or (left is not None and left[0] < right[0]):
                counts["removed"] += 1
                left = next(before, None)
            elif left is None or right[0] < left[0]:
                counts["added"] += 1
                right = next(after, None)
            else:
                counts[_change(left[1], right[1])] += 1
                left, right = next(before, None), next(after, None)
    return dict(counts)


def _change(left: bytes, right: bytes) -> str:
    if left == right:
        return "same"
    before, after = read_entry(left), read_entry(right)
    if before.limit_fen == after.limit_fen:
        return "other"
    return "limit_up" if before.limit_fen < after.limit_fen else "limit_down"
