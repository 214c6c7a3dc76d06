"""A record of `decision.audit` as an auditor sees it: its bytes, and what it says of its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from stream.codec.decision_v1 import audit_headers
from stream.domain.chain import HASH, PREVIOUS, SEQUENCE, ChainHead

_NUMBER, _DIGEST = re.compile(r"[1-9][0-9]{0,17}"), re.compile(r"[0-9a-f]{64}")
_NAMES = frozenset((SEQUENCE, PREVIOUS, HASH))


class Claim(NamedTuple):
    """What a record says: which one it is, the hash before it, and the hash with it."""

    sequence: int
    previous: bytes
    sha256: bytes

    @property
    def head(self) -> ChainHead:
        """Where the chain would stand after this record."""
        return ChainHead(self.sequence, self.sha256)

    def follows(self, head: ChainHead) -> bool:
        """Whether the record says it comes right after `head`."""
        return (self.sequence - 1, self.previous) == head


class Entry(NamedTuple):
    """One record; `claim` is None when its chain headers are absent or not in their one form."""

    offset: int
    key: bytes | None
    value: bytes
    claim: Claim | None


class Kind(StrEnum):
    """What can be wrong with an audit partition."""

    ALTERED = "altered"
    REMOVED = "removed"
    INSERTED = "inserted"
    MOVED = "moved"
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"


class Fault(NamedTuple):
    """One finding; `offset` is the record at fault, or the one before a gap, -1 at the start."""

    kind: Kind
    partition: int
    offset: int
    sequence: int
    words: str


def mislabelled(value: bytes, headers: Sequence[tuple[str, str | bytes | None]]) -> str | None:
    """What is wrong with the headers that repeat the value; the chain does not cover them.

    Each that the engine writes must be there once, with what the value says.
    """
    due = audit_headers(value)
    if due is None:
        return "its value is neither a decision's audit nor a dead letter's"
    for name, expected in due:
        found = [content for each, content in headers if each == name]
        if len(found) != 1:
            return f"header {name} is there {len(found)} times, expected once"
        content = found[0].encode() if isinstance(found[0], str) else found[0]
        if content != expected:
            return f"header {name} is not what its value says"
    return None


def claim_of(headers: Sequence[tuple[str, str | bytes | None]]) -> Claim | None:
    """The chain headers, each given once and in its one form; None otherwise."""
    found = [(name, _text(value)) for name, value in headers if name in _NAMES]
    said = dict(found)
    if len(found) != len(_NAMES) or len(said) != len(_NAMES):
        return None
    sequence, previous, sha256 = said[SEQUENCE], said[PREVIOUS], said[HASH]
    if not (_NUMBER.fullmatch(sequence) and _DIGEST.fullmatch(previous)):
        return None
    if not _DIGEST.fullmatch(sha256):
        return None
    return Claim(int(sequence), bytes.fromhex(previous), bytes.fromhex(sha256))


def _text(value: str | bytes | None) -> str:
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return value or ""
