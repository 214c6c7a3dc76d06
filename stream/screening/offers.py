"""An offer's price, its entry on the list, and the fingerprint that tells whether it changed."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream.domain.application import Segment
from stream.domain.instant import from_ms
from stream.domain.whitelist import Conclusion, WhitelistEntry

DAY_MS = 86_400_000
_ODD = 0x9E3779B97F4A7C15
"""Odd, so that times it modulo 2^64 no two limits of one price share a fingerprint."""
_ON_HOLD = 0xA5A5A5A55A5A5A5B
_MASK = 2**64 - 1


class Price(NamedTuple):
    """What one band of one segment is offered at."""

    segment: Segment
    grade: str
    tier: str
    apr_bps: int
    seed: int

    def entry(
        self, token: str, conclusion: Conclusion, limit_fen: int, version: int,
        validity_ms: tuple[int, int],
    ) -> WhitelistEntry:  # fmt: skip
        """The entry of one person; the offer's id follows from person and list version."""
        return WhitelistEntry(
            applicant_token=token,
            offer_id=f"offer-{version}-{token[-16:]}",
            segment=self.segment,
            conclusion=conclusion,
            limit_fen=limit_fen,
            price_tier=self.tier,
            apr_bps=self.apr_bps,
            risk_grade=self.grade,
            list_version=version,
            valid_from=from_ms(validity_ms[0]),
            valid_to=from_ms(validity_ms[1]),
        )


def price_of(segment: Segment, band: str, tier: str, apr_bps: int) -> Price:
    """The price of a band, with the seed of its fingerprints."""
    grade = band.lower()
    name = f"{segment.value}/{grade}/{tier}/{apr_bps}".encode()
    seed = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")
    return Price(segment, grade, tier, apr_bps, seed)


def fingerprints(
    seeds: npt.NDArray[np.uint64], limits_fen: npt.NDArray[np.int64], held: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint64]:
    """What an offer says but for its dates and list version, in 64 bits; never 0."""
    mixed = seeds ^ (limits_fen.astype(np.uint64) * np.uint64(_ODD))
    mixed = np.where(held, mixed ^ np.uint64(_ON_HOLD), mixed)
    return np.where(mixed == 0, np.uint64(1), mixed)


def fingerprint(entry: WhitelistEntry) -> int:
    """The same of one entry."""
    price = price_of(entry.segment, entry.risk_grade, entry.price_tier, entry.apr_bps)
    mixed = price.seed ^ ((entry.limit_fen * _ODD) & _MASK)
    if entry.conclusion is Conclusion.SUSPENDED:
        mixed ^= _ON_HOLD
    return mixed or 1
