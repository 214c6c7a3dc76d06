"""Twins of record types that decode without looking at the shape of texts.

Checking a text against a pattern costs as much as decoding five fields. Where
the texts were checked before, or are checked otherwise, a record is decoded as
its twin, with all types and numeric bounds, and then copied over.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct


def plain_twin(record: type[Struct]) -> type[Struct]:
    """A type of the same fields in the same order, whose texts may have any shape.

    `record(*msgspec.structs.astuple(twin))` is the record, its nested records aside.
    """
    hints = get_type_hints(record, include_extras=True)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(record):
        hint = _without_shape(hints[field.name])
        if field.required:
            fields.append((field.name, hint))
        else:
            fields.append((field.name, hint, field.default))
    return msgspec.defstruct(f"Plain{record.__name__}", fields, frozen=True, gc=False)


def _without_shape(hint: Any) -> Any:  # noqa: ANN401 (a type expression has no type of its own)
    """The type expression less its patterns and lengths; nested records become twins."""
    if get_origin(hint) is Annotated:
        base, *notes = get_args(hint)
        if base is str:
            return str
        return Annotated[(base, *(note for note in notes if isinstance(note, Meta)))]
    if isinstance(hint, type) and issubclass(hint, Struct):
        return plain_twin(hint)
    parts = get_args(hint)
    if not parts:
        return hint
    found = _without_shape(parts[0])
    for part in parts[1:]:
        found = found | _without_shape(part)
    return found
