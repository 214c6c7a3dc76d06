"""Instants of records as the rules read them."""

from __future__ import annotations

from stream.domain.instant import to_ms


def moment_ms(instant: str) -> int | None:
    """Epoch milliseconds, or None when unreadable: the caller treats that as not in force."""
    try:
        return to_ms(instant)
    except ValueError:
        return None
