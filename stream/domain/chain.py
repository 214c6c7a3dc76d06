"""The audit chain: every record of a partition names the hash of the one before it.

`hash(n) = SHA-256(hash(n-1) ‖ partition ‖ sequence ‖ len(key) ‖ key ‖ len(value) ‖ value)`,
numbers as big-endian (4, 8, 4 and 4 bytes), the hash before the first all zero,
the first sequence 1. A record flipped, removed, inserted or moved breaks every
hash after it.
"""

from __future__ import annotations

import hashlib
from binascii import hexlify
from collections.abc import Sequence
from struct import pack
from typing import NamedTuple

SEQUENCE, PREVIOUS, HASH = "x-chain-sequence", "x-chain-previous", "x-chain-sha256"


class ChainHead(NamedTuple):
    """Where a partition's chain stands: how many records, and the hash over all of them."""

    sequence: int
    sha256: bytes


GENESIS = ChainHead(0, bytes(32))


def link(head: ChainHead, partition: int, key: bytes | None, value: bytes) -> ChainHead:
    """The head after one more record."""
    named, sequence = key or b"", head.sequence + 1
    place, size = pack(">IQI", partition, sequence, len(named)), pack(">I", len(value))
    # In one piece: to copy it costs a tenth of what five calls do.
    whole = b"".join((head.sha256, place, named, size, value))
    return ChainHead(sequence, hashlib.sha256(whole).digest())


def chain_headers(head: ChainHead, previous: ChainHead) -> list[tuple[str, bytes]]:
    """The headers that put a record at `head`, after `previous`."""
    return [
        (SEQUENCE, b"%d" % head.sequence),
        (PREVIOUS, hexlify(previous.sha256)),
        (HASH, hexlify(head.sha256)),
    ]


def head_of(headers: Sequence[tuple[str, str | bytes | None]]) -> ChainHead | None:
    """Where a record says it stands; None when it does not say, or not in this form."""
    said = dict(headers)
    try:
        return ChainHead(int(said[SEQUENCE] or b""), bytes.fromhex(_text(said[HASH])))
    except (KeyError, ValueError):
        return None


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
