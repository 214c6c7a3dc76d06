"""What `tenminute replay` does: read audit records, decide again, tell what came of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import typer
from rich.console import Console
from rich.progress import Progress

from stream.audit.replay import Replayed, Replayer, Verdict
from stream.config import Settings
from stream.domain.topics import AUDIT
from stream.edge.clients import require_topic
from stream.edge.model_folder import trusted_keys
from stream.edge.onnx_scorer import load_models
from stream.errors import Exit
from stream.ops.audit_read import FileSource, Kept, Source
from stream.ops.last_run import reachable
from stream.policy.load import load_policy

SHOWN = 20
_FOREIGN = (Verdict.OTHER_POLICY, Verdict.OTHER_MODEL)
_WRONG = (Verdict.DIFFERENT, Verdict.UNREADABLE)


class Wanted(NamedTuple):
    """Which decisions, and from where; all of a broker's when nothing is named."""

    application: str | None = None
    partition: int | None = None
    file: Path | None = None
    bootstrap: str | None = None


def run(settings: Settings, wanted: Wanted, *, as_json: bool) -> Exit:
    """Replay what is wanted, tell it, and say how it went."""
    replayer = replayer_of(settings)
    counts: Counter[Verdict] = Counter()
    shown: list[tuple[Kept, Replayed]] = []
    with ExitStack() as stack:
        source = _source(stack, settings, wanted)
        console = Console(stderr=True)
        quiet = as_json or not console.is_terminal
        bar = stack.enter_context(Progress(console=console, transient=True, disable=quiet))
        for record in _records(source, wanted, bar):
            replayed = replayer.replay(record.value, record.ce_type)
            if wanted.application not in (None, replayed.application_id):
                continue
            counts[replayed.verdict] += 1
            if replayed.verdict in (*_WRONG, *_FOREIGN) and len(shown) < SHOWN:
                shown.append((record, replayed))
    _tell(counts, shown, as_json=as_json)
    return _exit_of(counts) if counts or wanted.application is None else Exit.FAILED


def replayer_of(settings: Settings) -> Replayer:
    """The policy and the models that the settings name."""
    policy = load_policy(settings.policy_file)
    models = sorted({segment.model for segment in policy.segments.values()})
    return Replayer(load_models(settings.models_dir, models, trusted_keys(settings)), policy)


def _source(stack: ExitStack, settings: Settings, wanted: Wanted) -> Source | FileSource:
    if wanted.file is not None:
        return FileSource(wanted.file)
    servers = stack.enter_context(reachable(wanted.bootstrap, settings))
    require_topic(servers, AUDIT, **settings.kafka)
    source = Source(settings.model_copy(update={"bootstrap": servers}))
    stack.callback(source.close)
    return source


def _records(source: Source | FileSource, wanted: Wanted, bar: Progress) -> Iterator[Kept]:
    """The records asked for; for one application, those in which its id occurs."""
    needle = (wanted.application or "").encode()
    for number in source.partitions() if wanted.partition is None else [wanted.partition]:
        low, high = source.bounds(AUDIT, number)
        task = bar.add_task(f"partition {number}", total=high - low)
        for count, record in enumerate(source.records(AUDIT, number)):
            if count % 100 == 0:
                bar.update(task, completed=record.offset - low)
            if needle in record.value:
                yield record


def _exit_of(counts: Counter[Verdict]) -> Exit:
    if any(counts[verdict] for verdict in _WRONG):
        return Exit.FAILED
    return Exit.CONFIG if any(counts[verdict] for verdict in _FOREIGN) else Exit.OK


def _tell(counts: Counter[Verdict], shown: list[tuple[Kept, Replayed]], *, as_json: bool) -> None:
    if as_json:
        found = {
            "counts": {verdict.value: counts[verdict] for verdict in Verdict},
            "shown": [
                {"partition": record.partition, "offset": record.offset, **each._asdict()}
                for record, each in shown
            ],
        }
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for record, each in shown:
        where = f"{AUDIT}/{record.partition}/{record.offset}"
        what = ", ".join(each.fields) + (f" ({each.detail})" if each.detail else "")
        console.print(f"{each.verdict.value}: {each.application_id} at {where}: {what}")
    if not counts:
        console.print("no such decision in the audit")
        return
    told = ", ".join(f"{count:,} {verdict.value}" for verdict, count in sorted(counts.items()))
    console.print(f"replayed: {told}")
