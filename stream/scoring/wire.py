"""Just enough of the Protocol Buffers wire format to look into a model file before it is run.

Reading is stricter than the format: bytes that end too early, groups and numbers
beyond 64 bits are refused. https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED32: 4, FIXED64: 8}
_VARINT_BYTES_MAX = 10
_MORE = 0x80
_SIGN, _WRAP = 1 << 63, 1 << 64

Field = tuple[int, int, int | bytes]
"""Number, wire type and value of a field: a varint as an int, anything else as its bytes."""


class WireError(ValueError):
    """Bytes that are no message."""


def fields(message: bytes) -> Iterator[Field]:
    """Every field of a message in order; WireError where the bytes end too early or are odd."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise WireError("field number 0")
        if wire == VARINT:
            value, at = _varint(message, at)
            yield number, wire, value
            continue
        if wire == BYTES:
            size, at = _varint(message, at)
        elif wire in _FIXED_SIZES:
            size = _FIXED_SIZES[wire]
        else:
            raise WireError(f"wire type {wire}")
        if size > end - at:
            raise WireError("ends within a field")
        yield number, wire, message[at : at + size]
        at += size


def content(field: Field) -> bytes:
    """The bytes of a field that has a length."""
    number, wire, value = field
    if wire != BYTES or isinstance(value, int):
        raise WireError(f"field {number} has no length")
    return value


def text(field: Field) -> str:
    """The UTF-8 text of a field."""
    try:
        return content(field).decode()
    except UnicodeDecodeError:
        raise WireError("text is not UTF-8") from None


def integer(field: Field) -> int:
    """The signed 64-bit number of a varint field."""
    number, _, value = field
    if not isinstance(value, int):
        raise WireError(f"field {number} is no varint")
    return _signed(value)


def integers(field: Field) -> list[int]:
    """One number, or all of a packed list."""
    if field[1] == VARINT:
        return [integer(field)]
    packed, found, at = content(field), [], 0
    while at < len(packed):
        value, at = _varint(packed, at)
        found.append(_signed(value))
    return found


def numbers(field: Field, *, double: bool = False) -> tuple[float, ...]:
    """One float, or all of a packed list; `double` for 64 bits each."""
    number, wire, value = field
    if isinstance(value, int) or wire not in (BYTES, FIXED64 if double else FIXED32):
        raise WireError(f"field {number} holds no floats")
    return reals(value, "d" if double else "f")


def reals(raw: bytes, code: str) -> tuple[float, ...]:
    """Little-endian floats laid one after another; `code` is that of `struct`, f or d."""
    count, rest = divmod(len(raw), struct.calcsize(f"<{code}"))
    if rest:
        raise WireError("ends within a float")
    return struct.unpack(f"<{count}{code}", raw)


def _signed(value: int) -> int:
    return value - _WRAP if value & _SIGN else value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number and where the bytes after it begin."""
    if at < len(message) and message[at] < _MORE:  # nearly all of them
        return message[at], at + 1
    value = 0
    for step in range(_VARINT_BYTES_MAX):
        if at + step >= len(message):
            raise WireError("ends within a number")
        byte = message[at + step]
        value |= (byte & 0x7F) << (7 * step)
        if byte < _MORE:
            if value >= _WRAP:
                break
            return value, at + step + 1
    raise WireError("number beyond 64 bits")
