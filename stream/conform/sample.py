"""One record of a channel under test, from a topic or from a line of a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from stream.codec.application_v1 import check_envelope, decode_application
from stream.domain.application import Application
from stream.errors import PoisonError

HeaderList = Sequence[tuple[str, str | bytes | None]]


class Sample(NamedTuple):
    """Bytes as published; `headers` is None where there are none to see, as in a file."""

    where: str
    partition: int
    key: bytes | None
    value: bytes
    headers: HeaderList | None
    seen_at_ms: int


class Checked(NamedTuple):
    """A sample with what the engine makes of it: an application, or its dead letter."""

    sample: Sample
    found: Application | PoisonError

    @property
    def application(self) -> Application | None:
        """The application, if the value is one."""
        return self.found if isinstance(self.found, Application) else None


def check(sample: Sample) -> Checked:
    """Decode as the engine does, value first and then the envelope."""
    try:
        application = decode_application(sample.value)
    except PoisonError as error:
        return Checked(sample, error)
    return Checked(sample, application)


def envelope_fault(checked: Checked) -> PoisonError | None:
    """The dead letter a sound value still becomes because of its key or version header."""
    application, sample = checked.application, checked.sample
    if application is None or sample.headers is None:
        return None
    try:
        check_envelope(application, sample.key, sample.headers)
    except PoisonError as error:
        return error
    return None


def lines_of(file: Path, now_ms: int) -> Iterator[Sample]:
    """Every line of a file that is not blank, as a record without key, headers and partition."""
    with file.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            value = raw.strip()
            if value:
                yield Sample(f"line {number}", 0, None, value, None, now_ms)
