"""Twins of record types that decode without looking at the shape of texts.

Checking a text against a pattern costs as much as decoding five fields. Where
the texts were checked before, or are checked for a whole batch at once, a record
is decoded as its twin, with all types and numeric bounds. A twin is a subclass of the record;
msgspec calls no two records of different classes equal, so where they are compared,
`record(*msgspec.structs.astuple(twin))` is the record itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

_Record = TypeVar("_Record", bound=Struct)
_START, _END = "^", r"\Z"


def plain_twin(record: type[_Record], *, lengths: bool = False) -> type[_Record]:
    """A subclass of the record with the same fields in the same order, texts of any shape.

    With `lengths`, texts have the lengths that the record asks for.
    """
    twin: type[_Record] = _twin(record, lengths)
    return twin


class Shapes:
    """The patterns of a record's texts, asked of many records at once.

    All texts of a field are joined, a line each, and one look tells whether every
    line has its shape; which one has not, only the record's own decoder says.
    """

    def __init__(self, record: type[Struct]) -> None:
        self._asked = [
            (attrgetter(path), re.compile(rf"(?:(?:{_core(pattern)})\n)*"))
            for path, pattern in _patterns(record, "")
        ]

    def hold(self, records: Sequence[Struct]) -> bool:
        """Whether no text of any of the records is of another shape than its field asks for."""
        for get, lines in self._asked:
            texts = set(map(get, records))
            texts.discard(None)
            joined = "\n".join(texts) + "\n" if texts else ""
            # A text with a line break of its own would pass for two.
            if joined.count("\n") != len(texts) or lines.fullmatch(joined) is None:
                return False
        return True


def _core(pattern: str) -> str:
    if not (pattern.startswith(_START) and pattern.endswith(_END)):
        raise AssertionError(f"{pattern}: of a whole text, or lines cannot be told apart")
    return pattern.removeprefix(_START).removesuffix(_END)


def _patterns(record: type[Struct], within: str) -> Iterator[tuple[str, str]]:
    """Path and pattern of every text that has one, in nested records as well."""
    hints = get_type_hints(record, include_extras=True)
    for field in msgspec.structs.fields(record):
        for hint in (hints[field.name], *get_args(hints[field.name])):
            if isinstance(hint, type) and issubclass(hint, Struct):
                yield from _patterns(hint, f"{within}{field.name}.")
            if get_origin(hint) is Annotated:
                for note in get_args(hint)[1:]:
                    if isinstance(note, Meta) and note.pattern is not None:
                        yield within + field.name, note.pattern


def _twin(record: type[Struct], lengths: bool) -> Any:  # noqa: ANN401 (a type made here)
    hints = get_type_hints(record, include_extras=True)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(record):
        hint = _without_shape(hints[field.name], lengths)
        if field.required:
            fields.append((field.name, hint))
        else:
            fields.append((field.name, hint, field.default))
    return msgspec.defstruct(
        f"Plain{record.__name__}", fields, bases=(record,), frozen=True, gc=False
    )


def _without_shape(hint: Any, lengths: bool) -> Any:  # noqa: ANN401 (a type expression has no type of its own)
    """The type expression less its patterns; nested records become twins."""
    if get_origin(hint) is Annotated:
        base, *notes = get_args(hint)
        kept = [_any_shape(note, lengths) for note in notes if isinstance(note, Meta)]
        return Annotated[(base, *kept)]
    if isinstance(hint, type) and issubclass(hint, Struct):
        return _twin(hint, lengths)
    parts = get_args(hint)
    if not parts:
        return hint
    found = _without_shape(parts[0], lengths)
    for part in parts[1:]:
        found = found | _without_shape(part, lengths)
    return found


def _any_shape(note: Meta, lengths: bool) -> Meta:
    kept = ("ge", "gt", "le", "lt", "multiple_of", *(_LENGTHS if lengths else ()))
    return Meta(**{name: getattr(note, name) for name in kept})


_LENGTHS = ("min_length", "max_length")
