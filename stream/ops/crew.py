"""One piece of work over many spans of the audit, by several processes, with a bar that moves."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple, Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from stream.config import Settings
from stream.errors import FatalError
from stream.ops.spans import Seen, Span, SpanReader

_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)


class Job(Protocol[_R_co]):
    """Work that a process can be given: it is sent there, and begun there once."""

    def begin(self, settings: Settings) -> Callable[[Iterable[Seen]], _R_co]:
        """Load what is needed; the result takes one span's records at a time."""
        ...


class _Failed(NamedTuple):
    """A fault on its way back: an exception with a keyword of its own does not travel."""

    kind: type[FatalError]
    message: str
    fix: str


class _Begun:
    """The work as one process does it."""

    do: Callable[[Span], Any]


def results(settings: Settings, job: Job[_R], spans: Sequence[Span], workers: int) -> Iterator[_R]:
    """What the work makes of each span, in the order of the spans."""
    if workers == 1 or len(spans) < 2:
        with closing(SpanReader(settings)) as reader, _no_collecting():
            work = job.begin(settings)
            for span in spans:
                yield work(reader.read(span))
        return
    # Settings from a file have a class of their own, which another process does not know.
    plain = Settings.model_construct(**dict(settings))
    # librdkafka's threads and ONNX Runtime's do not survive a fork.
    pool = ProcessPoolExecutor(
        min(workers, len(spans)), get_context("spawn"), initializer=_begin, initargs=(plain, job)
    )
    try:
        for found in pool.map(_do, spans):
            if isinstance(found, _Failed):
                raise found.kind(found.message, fix=found.fix)
            yield found
    finally:
        pool.shutdown(cancel_futures=True)


def watched(
    found: Iterator[_R], spans: Sequence[Span], count: Callable[[_R], int], *, hidden: bool
) -> Iterator[_R]:
    """The same results, while a bar on standard error shows decisions, speed and time left."""
    console = Console(stderr=True)
    columns = (
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    quiet = hidden or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("", total=sum(span.size for span in spans), told="")
        done = 0
        for span, each in zip(spans, found, strict=True):
            done += count(each)
            seconds = bar.tasks[0].elapsed or 0.0
            speed = f", {done / seconds:,.0f}/s" if seconds > 0 else ""
            bar.update(task, advance=span.size, told=f"{done:,} decisions{speed}")
            yield each


@contextmanager
def _no_collecting() -> Iterator[None]:
    """What is read and decided here has no cycles: looking for them costs a tenth and more."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _begin(settings: Settings, job: Job[Any]) -> None:
    """What a process does first; a fault is told at its first span."""
    gc.disable()
    try:
        reader, work = SpanReader(settings), job.begin(settings)
    except FatalError as error:
        failed = _Failed(type(error), error.message, error.fix)
        _Begun.do = partial(_fail, failed)
        return
    _Begun.do = lambda span: work(reader.read(span))


def _fail(failed: _Failed, span: Span) -> _Failed:
    del span
    return failed


def _do(span: Span) -> Any:  # noqa: ANN401
    try:
        return _Begun.do(span)
    except FatalError as error:
        return _Failed(type(error), error.message, error.fix)
