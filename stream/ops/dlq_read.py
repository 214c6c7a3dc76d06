"""Dead letters as they lie on `loan.applications.dlq`, read to the end of what is committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import typer

from stream.codec.dead_letter_v1 import DeadLetter, DeadLetterError, decode_dead_letter
from stream.config import Settings
from stream.domain.topics import DEAD_LETTERS
from stream.edge.clients import require_topic
from stream.errors import ConfigError
from stream.ops.audit_read import Kept, Source
from stream.ports import Record


class Found(NamedTuple):
    """A dead letter and where it lies."""

    partition: int
    offset: int
    letter: DeadLetter

    @property
    def place(self) -> str:
        """Partition and offset, as `show` takes them."""
        return f"{self.partition}/{self.offset}"


def read_letters(settings: Settings) -> Iterator[Found]:
    """Every dead letter there is, partition by partition; what is none is said on stderr."""
    require_topic(settings.bootstrap, DEAD_LETTERS, **settings.kafka)
    source = Source(settings)
    try:
        for partition in source.partitions():
            for kept in source.records(DEAD_LETTERS, partition):
                try:
                    yield Found(kept.partition, kept.offset, decode_dead_letter(_record(kept)))
                except DeadLetterError as error:
                    typer.echo(f"{kept.partition}/{kept.offset}: {error}", err=True)
    finally:
        source.close()


def read_letter(settings: Settings, place: str) -> Found:
    """The dead letter at `PARTITION/OFFSET`; ConfigError when there is none."""
    partition, _, offset = place.partition("/")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise ConfigError(f"{place!r} is no place", fix="give PARTITION/OFFSET, such as 3/41")
    require_topic(settings.bootstrap, DEAD_LETTERS, **settings.kafka)
    source = Source(settings)
    try:
        low, high = source.bounds(DEAD_LETTERS, int(partition))
        if low <= int(offset) < high:
            for kept in source.records(DEAD_LETTERS, int(partition), int(offset)):
                if kept.offset == int(offset):
                    return Found(kept.partition, kept.offset, decode_dead_letter(_record(kept)))
                break
    except DeadLetterError as error:
        raise ConfigError(f"{place}: {error}", fix="see: tenminute dlq list") from None
    finally:
        source.close()
    raise ConfigError(f"no dead letter at {place}", fix="see: tenminute dlq list")


def _record(kept: Kept) -> Record:
    return Record(kept.topic, kept.partition, kept.offset, kept.key, kept.value, kept.headers, -1)
