"""How a credit memo writes amounts, spans of time, instants and names."""

from __future__ import annotations

from collections.abc import Callable

from stream.domain.instant import from_ms, to_ms

_SPANS_MS = ((86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))

NOT_KNOWN = "n/a"
Value = int | float | str | bool | None


def money(fen: int) -> str:
    """Fen as yuan with two decimals, exact."""
    sign = "−" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def percent(bps: int) -> str:
    """Basis points as a percentage."""
    return f"{bps / 100:.2f} %"


def words(name: str) -> str:
    """A code as words."""
    return name.replace("_", " ").replace(".", " ")


def instant(text: str) -> str:
    """An instant in UTC to the second, the day alone at midnight; the text when it is none."""
    try:
        utc = from_ms(to_ms(text))
    except ValueError:
        return text
    return utc[:10] if utc[11:19] == "00:00:00" else f"{utc[:10]} {utc[11:19]}Z"


def since(start: str, end: str) -> int | None:
    """Milliseconds between two instants; None when either is none."""
    try:
        return to_ms(end) - to_ms(start)
    except ValueError:
        return None


def lasting(span_ms: int | None) -> str:
    """A span in the largest unit of which it has two or more."""
    if span_ms is None:
        return "unknown"
    for unit_ms, name in _SPANS_MS:
        if abs(span_ms) >= 2 * unit_ms:
            return f"{span_ms / unit_ms:,.1f}".removesuffix(".0") + f" {name}"
    return f"{span_ms:,} ms"


def value_of(name: str, value: Value) -> str:
    """One value a rule saw, with its name and in the unit the name says."""
    return f"{bare(name)} {in_unit(name, value)}"


def bare(name: str) -> str:
    """A name as words, without the unit its value is shown in."""
    for suffix in _UNITS:
        name = name.removesuffix(suffix)
    return words(name)


def in_unit(name: str, value: Value) -> str:
    """A value in the unit its name says; models take whole numbers as floats, so those count."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: NOT_KNOWN}[value]
    if isinstance(value, str):
        return instant(value)
    if name == "now_ms":
        return instant(from_ms(int(value)))
    unit = next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), None)
    if unit is not None:
        return unit(round(value))
    return f"{int(value):,}" if value == int(value) else f"{value:,.4f}"


_UNITS: dict[str, Callable[[int], str]] = {"_fen": money, "_bps": percent, "_ms": lasting}
