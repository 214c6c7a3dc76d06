"""Instants of records as the rules read them."""

from __future__ import annotations

from functools import lru_cache

from stream.domain.instant import to_ms


@lru_cache(maxsize=65_536)  # those of an application are asked for by several rules
def moment_ms(instant: str) -> int | None:
    """Epoch milliseconds, or None when unreadable: the caller treats that as not in force."""
    try:
        return to_ms(instant)
    except ValueError:
        return None
