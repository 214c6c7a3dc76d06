"""Applicant tokens and the partition they belong to.

The partitioner is part of the contract: murmur2 as Kafka's Java client and
kafka-python compute it. librdkafka's default is another one, so every
publisher of ours sets `partitioner=murmur2_random`.
"""

from __future__ import annotations

import hashlib
import hmac

PARTITIONER = "murmur2_random"
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


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


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of a key, as Kafka's Java client chooses it."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def decision_id(application_id: str) -> str:
    """Deterministic id of the first-stage decision on an application."""
    return "d_" + hashlib.sha256(b"decision/1/" + application_id.encode()).hexdigest()[:32]
