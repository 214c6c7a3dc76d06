"""Instants are RFC 3339 with a zone outside and epoch milliseconds inside, exactly."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream.domain.instant import from_ms, to_ms

_LAST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""


@pytest.mark.parametrize(
    ("instant", "expected_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-24T08:00:00Z", 1_795_507_200_000),
        ("1970-01-01T00:00:01.001Z", 1_001),
        ("2026-11-24T08:00:00.001Z", 1_795_507_200_001),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2026-11-24T08:00:00.1Z", 1_795_507_200_100),
        ("2026-11-24T08:00:00.123456789Z", 1_795_507_200_123),
        ("2026-11-24T16:00:00+08:00", 1_795_507_200_000),
        ("2026-11-24T02:30:00-05:30", 1_795_507_200_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("0001-01-01T00:00:00+14:00", -62_135_647_200_000),
    ],
)
def test_an_instant_is_read_to_the_millisecond(instant: str, expected_ms: int) -> None:
    """Fractions are cut, zones are taken off, leap days exist."""
    assert expected_ms == to_ms(instant)


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-11-24", "2026-11-24T08:00:00", "2026-11-24 08:00:00Z", "2026-11-24T08:00Z",
        "2026-11-24T08:00:00+0800", "2026-11-24T08:00:00+08", "2026-11-24T08:00:00+15:00",
        "2026-11-24T08:00:00+08:60", "2026-11-24T08:00:00.Z", "2026-11-24T08:00:00.1234567890Z",
        "2026-02-29T08:00:00Z", "2026-13-01T08:00:00Z", "2026-11-24T25:00:00Z",
        "2026-11-24T08:60:00Z", "2026-11-24T08:00:60Z", "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z", "2026-W48-2T08:00:00Z", "1795507200", "2026-11-24T08:00:00Z\n",
        " 2026-11-24T08:00:00Z", "\u0662026-11-24T08:00:00Z", "\uff12026-11-24T08:00:00Z",
        "2026-11-24T08:00:00\u0660Z",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    """No zone, no such day, other digits, other shapes: ValueError, never a guess."""
    with pytest.raises(ValueError, match=r"instant|isoformat|must be|range"):
        to_ms(text)


@given(st.integers(0, _LAST_MS))
@example(1_795_507_260_001)
@example(_LAST_MS)
def test_milliseconds_survive_being_written(at_ms: int) -> None:
    """Writing an instant and reading it back loses nothing."""
    assert at_ms == to_ms(from_ms(at_ms))


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001 (drawn in UTC)
    st.integers(-14 * 60, 14 * 60),
)
def test_a_zone_never_moves_the_moment(moment: datetime, minutes: int) -> None:
    """The same moment in any zone is the same number, cut to whole milliseconds."""
    expected = (moment - datetime(1970, 1, 1)) // timedelta(milliseconds=1)  # noqa: DTZ001
    local = moment + timedelta(minutes=minutes)
    sign = "-" if minutes < 0 else "+"
    zone = f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    assert expected == to_ms(f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond:06d}{zone}")


@given(st.text(max_size=40))
def test_any_text_is_an_instant_or_a_value_error(text: str) -> None:
    """Nothing but ValueError is ever raised."""
    with suppress(ValueError):
        assert to_ms(text) >= to_ms("0001-01-01T00:00:00+14:59")
