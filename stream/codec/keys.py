"""Applicant tokens and the partition they belong to.

The partitioner is part of the contract: murmur2 as Kafka's Java client and
kafka-python compute it. librdkafka's default is another one, so every
publisher of ours sets `partitioner=murmur2_random`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

PARTITIONER = "murmur2_random"
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
_COLUMNS_FROM = 8
"""Below so many keys of one length the plain way is faster than setting up the arrays."""


def applicant_token(national_id: str, key: bytes, key_version: int = 1) -> str:
    """Token of a national id: HMAC-SHA-256 under a versioned key, cut to 128 bits.

    A bare hash would not do: 18-digit ids can be enumerated.
    """
    digest = hmac.new(key, national_id.encode(), hashlib.sha256).digest()[:16]
    return f"a{key_version}_{digest.hex()}"


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 with its seed, unsigned."""
    length = len(data)
    h = (0x9747B28C ^ length) & _MASK
    whole = length & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little")
        k = (k * _M) & _MASK
        k ^= k >> 24
        h = ((h * _M) & _MASK) ^ ((k * _M) & _MASK)
    rest = data[whole:]
    if rest:
        h = ((h ^ int.from_bytes(rest, "little")) * _M) & _MASK
    h = ((h ^ (h >> 13)) * _M) & _MASK
    return h ^ (h >> 15)


def partitions_of(keys: Sequence[bytes], partitions: int) -> list[int]:
    """`partition_of` for many keys at once: those of one length go through as columns."""
    found = [0] * len(keys)
    by_length: dict[int, list[int]] = {}
    for index, key in enumerate(keys):
        by_length.setdefault(len(key), []).append(index)
    for length, places in by_length.items():
        if len(places) < _COLUMNS_FROM or length == 0:
            for place in places:
                found[place] = partition_of(keys[place], partitions)
        else:
            hashes = _murmur2_columns(b"".join(keys[place] for place in places), length)
            numbers = ((hashes & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)).tolist()
            for place, number in zip(places, numbers, strict=True):
                found[place] = number
    return found


def _murmur2_columns(joined: bytes, length: int) -> npt.NDArray[np.uint32]:
    """Murmur2 of every `length` bytes of `joined`, one array operation per four of them."""
    rows = np.frombuffer(joined, dtype=np.uint8).reshape(-1, length)
    words, rest = length // 4, length % 4
    m = np.uint32(_M)
    h = np.full(len(rows), (0x9747B28C ^ length) & _MASK, dtype=np.uint32)
    for word in np.ascontiguousarray(rows[:, : words * 4]).view("<u4").T:
        k = word * m
        h = (h * m) ^ ((k ^ (k >> np.uint32(24))) * m)
    if rest:
        tail = np.zeros(len(rows), dtype=np.uint32)
        for place in range(rest):
            tail |= rows[:, words * 4 + place].astype(np.uint32) << np.uint32(8 * place)
        h = (h ^ tail) * m
    h = (h ^ (h >> np.uint32(13))) * m
    return h ^ (h >> np.uint32(15))


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of a key, as Kafka's Java client chooses it."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def decision_id(applicant_token: str, application_id: str, stage: int = 1) -> str:
    """Deterministic id of the one decision of a stage on one person's application."""
    name = f"decision/{stage}/{applicant_token}/{application_id}"
    return "d_" + hashlib.sha256(name.encode()).hexdigest()[:32]
