"""The first line of an export: what it holds of each partition, so that what is gone is missed.

It is not signed. It tells an export that lost lines from a whole one; a forger who
rewrites it too is found where a checkpoint signs what he took, or by counting the
partitions of the topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

VERSION: Final = 1
START: Final = '{"manifest":'
_MOST: Final = 2**63 - 1


class Place(msgspec.Struct, frozen=True):
    """Records of one partition of one topic, and the offset after the last of them."""

    topic: str
    partition: int
    records: int
    end: int


class Manifest(msgspec.Struct, frozen=True):
    """All places of an export, empty ones too; `partitions` is how many the audit topic has."""

    manifest: int
    partitions: int
    places: tuple[Place, ...]

    def place(self, topic: str, partition: int) -> Place | None:
        """What is said of one partition of one topic."""
        return next((p for p in self.places if (p.topic, p.partition) == (topic, partition)), None)


_manifest = msgspec.json.Decoder(Manifest)


def manifest_line(partitions: int, places: Sequence[Place]) -> str:
    """The line, without its end, as wide as it is with any other numbers of the same places."""
    widest = [msgspec.structs.replace(each, records=_MOST, end=_MOST) for each in places]
    return _json(partitions, places).ljust(len(_json(partitions, widest)))


def read_manifest(line: str) -> Manifest | None:
    """The manifest in an export's first line, None where it is another; ValueError if damaged."""
    if not line.startswith(START):
        return None
    try:
        found = _manifest.decode(line)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    if found.manifest != VERSION:
        raise ValueError(f"manifest of version {found.manifest}, expected {VERSION}")
    return found


def _json(partitions: int, places: Sequence[Place]) -> str:
    return msgspec.json.encode(Manifest(VERSION, partitions, tuple(places))).decode()
