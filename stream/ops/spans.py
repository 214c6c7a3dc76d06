"""The audit cut into spans that several processes can read, from its topic or from an export.

A span of an export is a range of bytes that begins and ends with a line; a span
of the topic is a range of offsets of one partition.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from stream.config import Settings
from stream.domain.topics import AUDIT
from stream.errors import ConfigError
from stream.ops.audit_manifest import START
from stream.ops.audit_read import Source

FILE_SPAN_BYTES = 4 * 1024 * 1024
TOPIC_SPAN_RECORDS = 5_000
"""Some seconds of work each: little is lost when the last ones end unevenly."""


class Span(NamedTuple):
    """Where to read: bytes `start` to `end` of a file, or offsets of a partition of the topic."""

    file: Path | None
    partition: int
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes, or offsets."""
        return self.end - self.start


class Seen(NamedTuple):
    """One record of the audit."""

    partition: int
    offset: int
    value: bytes


class _Line(msgspec.Struct):
    topic: str
    partition: int
    offset: int
    value: str | None = None
    value_base64: str | None = None


_line = msgspec.json.Decoder(_Line)


def spans_of_file(file: Path, span_bytes: int = FILE_SPAN_BYTES) -> list[Span]:
    """An export, cut after whole lines."""
    spans, start = [], 0
    try:
        with file.open("rb") as lines:
            while lines.seek(start + span_bytes - 1) and lines.readline():
                spans.append(Span(file, -1, start, lines.tell()))
                start = lines.tell()
        end = file.stat().st_size
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", fix="give an export file") from None
    return [*spans, Span(file, -1, start, end)] if start < end else spans


def spans_of_topic(source: Source, partition: int | None) -> list[Span]:
    """All that is kept of the topic, or of one partition of it."""
    numbers = source.partitions() if partition is None else [partition]
    bounds = {number: source.bounds(AUDIT, number) for number in numbers}
    return [
        Span(None, number, start, min(start + TOPIC_SPAN_RECORDS, high))
        for number, (low, high) in bounds.items()
        for start in range(low, high, TOPIC_SPAN_RECORDS)
    ]


class SpanReader:
    """Reads spans; connects at the first of the topic and stays connected."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet."""
        self._settings = settings
        self._source: Source | None = None

    def read(self, span: Span) -> Iterator[Seen]:
        """The audit records of a span, in order; ConfigError for a line that is no export's."""
        yield from _from_file(span, span.file) if span.file else self._from_topic(span)

    def close(self) -> None:
        """Leave the broker, if any."""
        if self._source is not None:
            self._source.close()

    def _from_topic(self, span: Span) -> Iterator[Seen]:
        self._source = self._source or Source(self._settings)
        for kept in self._source.records(AUDIT, span.partition, span.start):
            if kept.offset >= span.end:
                return
            yield Seen(kept.partition, kept.offset, kept.value)


def _from_file(span: Span, file: Path) -> Iterator[Seen]:
    with file.open("rb") as lines:
        lines.seek(span.start)
        text = lines.read(span.size)
    try:
        seen = [
            Seen(line.partition, line.offset, _value(line))
            for line in _line.decode_lines(text)
            if line.topic == AUDIT
        ]
    except (msgspec.DecodeError, UnicodeError, binascii.Error):
        # The manifest has another shape; of a fault the line is named.
        seen = list(_line_by_line(span, text))
    yield from seen


def _line_by_line(span: Span, text: bytes) -> Iterator[Seen]:
    at = span.start
    for raw in text.splitlines(keepends=True):
        try:
            first = at == 0 and raw.startswith(START.encode())
            line = None if first else _line.decode(raw)
            if line is not None and line.topic == AUDIT:
                yield Seen(line.partition, line.offset, _value(line))
        except (msgspec.DecodeError, UnicodeError, binascii.Error) as error:
            raise ConfigError(
                f"the line at byte {at} is no line of an export: {type(error).__name__}",
                fix="write one with: tenminute audit export --out FILE",
            ) from None
        at += len(raw)


def _value(line: _Line) -> bytes:
    if line.value_base64 is not None:
        return base64.b64decode(line.value_base64, validate=True)
    return (line.value or "").encode()
