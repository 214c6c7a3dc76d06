"""What `tenminute replay` does: read audit records, decide again, tell what came of it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from stream.audit.replay import Replayed, Replayer
from stream.audit.verdict import Verdict
from stream.config import Settings
from stream.domain.instant import to_ms
from stream.domain.topics import AUDIT
from stream.edge.clients import require_topic
from stream.errors import Exit
from stream.ops.at_hand import at_hand_of, on_standard_error
from stream.ops.audit_read import Source
from stream.ops.crew import results, watched
from stream.ops.dlq_show import spelt
from stream.ops.last_run import reachable
from stream.ops.spans import Seen, Span, spans_of_file, spans_of_topic

SHOWN = 20
TOGETHER = 1_000
"""Records put before the pipeline at a time: enough for whole batches of the engine."""

WIDTH = 80
_CHANGED = (Verdict.DATA, Verdict.MODEL, Verdict.RULE, Verdict.UNREADABLE)


class Wanted(NamedTuple):
    """Which decisions, and from where; all of a broker's when nothing is named.

    `since_ms` and `until_ms` are on `decided_at`, the end not included.
    """

    application: str | None = None
    partition: int | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    file: Path | None = None
    bootstrap: str | None = None

    def within(self, at_ms: int) -> bool:
        """Whether a moment is in the time that is asked for."""
        early = self.since_ms is not None and at_ms < self.since_ms
        return not early and (self.until_ms is None or at_ms < self.until_ms)


class _DecidedAt(msgspec.Struct):
    decided_at: str


class _When(msgspec.Struct):
    """The moment in an audit record: of a decision, or of a dead letter."""

    decision: _DecidedAt | None = None
    occurred_at: str = ""


_when = msgspec.json.Decoder(_When)


class Tally(NamedTuple):
    """Records by verdict, how many of them have another answer, and the first that changed."""

    records: Counter[Verdict]
    other_answers: Counter[Verdict]
    shown: list[tuple[int, int, Replayed]]

    @classmethod
    def empty(cls) -> Tally:
        """Of nothing."""
        return cls(Counter(), Counter(), [])

    def total(self) -> int:
        """How many were counted."""
        return self.records.total()

    def add(self, seen: Seen, replayed: Replayed) -> None:
        """Count one."""
        self.records[replayed.verdict] += 1
        self.other_answers[replayed.verdict] += replayed.other_answer
        if replayed.verdict in _CHANGED and len(self.shown) < SHOWN:
            self.shown.append((seen.partition, seen.offset, replayed))

    def merge(self, other: Tally) -> None:
        """Count what another process counted."""
        self.records.update(other.records)
        self.other_answers.update(other.other_answers)
        self.shown.extend(other.shown[: SHOWN - len(self.shown)])


class ReplayJob(NamedTuple):
    """What a process needs to replay spans."""

    wanted: Wanted
    policies: tuple[Path, ...] = ()

    def begin(self, settings: Settings) -> Callable[[Iterable[Seen]], Tally]:
        """Load policies and models."""
        replayer = Replayer(at_hand_of(settings, self.policies))
        return lambda records: _replay(replayer, self.wanted, records)


def run(settings: Settings, job: ReplayJob, workers: int, *, as_json: bool) -> Exit:
    """Replay what is wanted, tell it, and say how it went."""
    # What is wrong with them is said once, and here.
    at_hand_of(settings, job.policies, on_standard_error)
    tally = Tally.empty()
    started = time.monotonic()
    with ExitStack() as stack:
        settings, spans = spans_of(stack, settings, job.wanted)
        found = results(settings, job, spans, workers)
        for each in watched(found, spans, Tally.total, hidden=as_json):
            tally.merge(each)
    _tell(tally, time.monotonic() - started, as_json=as_json)
    changed = any(tally.records[verdict] for verdict in _CHANGED)
    return Exit.FAILED if changed or not tally.records else Exit.OK


def spans_of(stack: ExitStack, settings: Settings, wanted: Wanted) -> tuple[Settings, list[Span]]:
    """Where the wanted records are, and the settings to read them with while `stack` is open."""
    if wanted.file is not None:
        return settings, spans_of_file(wanted.file)
    servers = stack.enter_context(reachable(wanted.bootstrap, settings))
    require_topic(servers, AUDIT, **settings.kafka)
    settings = settings.model_copy(update={"bootstrap": servers})
    source = Source(settings)
    stack.callback(source.close)
    return settings, spans_of_topic(source, wanted.partition)


def _replay(replayer: Replayer, wanted: Wanted, records: Iterable[Seen]) -> Tally:
    tally = Tally.empty()
    chosen = (seen for seen in records if _may_be(seen, wanted))
    for part in _parts(chosen):
        replayed = replayer.replay_all([seen.value for seen in part])
        for seen, each in zip(part, replayed, strict=True):
            # What names the application and cannot be read may be its decision.
            unreadable = each.verdict is Verdict.UNREADABLE
            if unreadable or wanted.application in (None, each.application_id):
                tally.add(seen, each)
    return tally


def _parts(records: Iterator[Seen]) -> Iterator[list[Seen]]:
    while part := list(islice(records, TOGETHER)):
        yield part


def _may_be(seen: Seen, wanted: Wanted) -> bool:
    """Whether a record is worth deciding: partition, time, and the id somewhere in its bytes."""
    here = wanted.partition in (None, seen.partition)
    return here and (wanted.application or "").encode() in seen.value and _in_time(seen, wanted)


def _in_time(seen: Seen, wanted: Wanted) -> bool:
    """Whether it was decided or set aside within the time; what cannot be read may have been."""
    if wanted.since_ms is None and wanted.until_ms is None:
        return True
    try:
        when = _when.decode(seen.value)
        at_ms = to_ms(when.decision.decided_at if when.decision else when.occurred_at)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return True
    return wanted.within(at_ms)


def _tell(tally: Tally, seconds: float, *, as_json: bool) -> None:
    records = tally.total()
    speed = records / seconds if seconds > 0 else 0.0
    if as_json:
        found: dict[str, Any] = {
            "records": records,
            "verdicts": {verdict.value: tally.records[verdict] for verdict in Verdict},
            "other_answers": {verdict.value: tally.other_answers[verdict] for verdict in _CHANGED},
            "seconds": round(seconds, 3),
            "records_per_second": round(speed, 1),
            "shown": [
                {"partition": partition, "offset": offset, **each._asdict()}
                for partition, offset, each in tally.shown
            ],
        }
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for partition, offset, each in tally.shown:
        what = ", ".join(each.fields) + (f" ({each.detail})" if each.detail else "")
        where = f"{AUDIT}/{partition}/{offset}"
        # What a forged record says is no instruction to a terminal, nor markup.
        line = f"{each.verdict.value}: {each.application_id} at {where}: {what}"
        console.print(spelt(line), markup=False)
    if not records:
        console.print("no such decision in the audit")
        return
    console.print(_table(tally), width=WIDTH)
    noun = "record" if records == 1 else "records"
    console.print(f"{records:,} {noun} in {seconds:,.1f} s, {speed:,.0f} a second")


def _table(tally: Tally) -> Table:
    """Verdicts with their counts, and how many of them would be answered otherwise."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("verdict", width=20)
    for title in ("records", "share", "other answer"):
        table.add_column(title, justify="right", width=14)
    whole = tally.total()
    for verdict in Verdict:
        count = tally.records[verdict]
        if not count and verdict not in (Verdict.MATCH, *_CHANGED[:3]):
            continue
        other = f"{tally.other_answers[verdict]:,}" if verdict in _CHANGED[:3] else ""
        table.add_row(verdict.value, f"{count:,}", f"{100 * count / whole:.4g} %", other)
    return table
