"""Instants of records as epoch milliseconds, cheap when days and times repeat."""

from __future__ import annotations

from functools import lru_cache

from stream.domain.instant import to_ms

_ANY_DAY = "2000-01-01"
_DAY_LENGTH = len(_ANY_DAY)


@lru_cache(maxsize=4_096)
def _day_ms(day: str) -> int | None:
    """Start of the day in UTC, or None when it is no day."""
    return _read(f"{day}T00:00:00Z")


@lru_cache(maxsize=131_072)
def _time_ms(time: str) -> int | None:
    """Milliseconds into the UTC day, zone taken into account, or None when it is no time."""
    at_ms, start_ms = _read(_ANY_DAY + time), _day_ms(_ANY_DAY)
    return None if at_ms is None or start_ms is None else at_ms - start_ms


def _read(instant: str) -> int | None:
    try:
        return to_ms(instant)
    except ValueError:
        return None


@lru_cache(maxsize=65_536)
def moment_ms(instant: str) -> int | None:
    """Epoch milliseconds, or None when unreadable: the caller treats that as not in force."""
    day_ms = _day_ms(instant[:_DAY_LENGTH])
    time_ms = _time_ms(instant[_DAY_LENGTH:])
    return None if day_ms is None or time_ms is None else day_ms + time_ms
