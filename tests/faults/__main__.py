"""`make faults`: the faults of the protocol in their full number, with a result file.

    python -m faults [--share 1.0] [--only PATTERN] [--to bench/results]

`--share 0.1` plays a tenth of each, `--only "F8|F9"` what matches. The file is written anew after
every row, so that a run that is broken off leaves what it found.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import statistics
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import confluent_kafka
from faults.scenes import (
    COMMIT_SECONDS,
    Play,
    Scene,
    cases,
    delay_commits,
    half_open,
    let_stray,
    lose_answers,
    playing,
    slow_down,
    tell_errors,
)
from faults.stage import Stage, set_stage
from faults.wire import Api
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stream.broker.jars import kafka_version
from stream.limits import COMMIT_SECONDS_MAX

Tick = Callable[[int], None]


class Part(NamedTuple):
    """One row of the result: what is done how many times."""

    fault: str
    count: int
    play: Callable[[Play, int, Tick], list[str] | None]
    commit_seconds: float = COMMIT_SECONDS


def told(*, done: bool) -> Callable[[Play, int, Tick], list[str]]:
    """Every code of the table, or the first `count` of every second and so on."""

    def play(play: Play, count: int, tick: Tick) -> list[str]:
        table = cases()
        step = max(1, len(table) // max(1, count))
        return tell_errors(play, table[::step][:count], done=done, tick=tick)

    return play


def strays(api: Api) -> Callable[[Play, int, Tick], None]:
    """Strays of one kind of call."""
    return lambda play, count, tick: let_stray(play, api, count, tick)


PARTS = (
    Part("F8 answer of EndTxn lost, connection broken", 20, lose_answers),
    Part("F9 EndTxn late past the next begin, connection up", 200, delay_commits),
    Part("F9 EndTxn stray: late, and repeated by the client", 20, strays(Api.END_TXN)),
    Part("F9 TxnOffsetCommit stray", 5, strays(Api.TXN_OFFSET_COMMIT)),
    Part("F9 AddOffsetsToTxn stray", 5, strays(Api.ADD_OFFSETS)),
    Part("F9 AddPartitionsToTxn stray", 5, strays(Api.ADD_PARTITIONS)),
    Part("F9 Produce stray", 5, strays(Api.PRODUCE)),
    Part("F10 error code told, request not done", len(cases()), told(done=False)),
    Part("F10 error code told, request done", len(cases()), told(done=True)),
    Part("F20 half-open: 3 s swallowed, never answered", 5, half_open),
    Part("F18 seconds at 200 ± 100 ms of latency", 60, slow_down, COMMIT_SECONDS_MAX),
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Play every part; 0 when every row is exact and every code had its remedy."""
    parser = argparse.ArgumentParser(prog="faults", description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="how much of the full number")
    parser.add_argument("--only", default="", help="a pattern of the names to play")
    parser.add_argument("--to", type=Path, default=Path("bench/results"), help="folder of results")
    chosen = parser.parse_args(arguments)
    scenes: list[Scene] = []
    wrong: list[str] = []
    path = chosen.to / f"{datetime.now(UTC):%Y-%m-%d}-faults.md"
    columns = (TextColumn("{task.description:66}"), BarColumn(), MofNCompleteColumn())
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        set_stage(Path(folder)) as stage,
        Progress(*columns, TimeElapsedColumn()) as progress,
    ):
        for part in (each for each in PARTS if re.search(chosen.only, each.fault)):
            wrong += played(stage, part, max(1, round(part.count * chosen.share)), scenes, progress)
            path.write_text(page(scenes, wrong, arguments), encoding="utf-8")
    print(f"written to {path}")
    return int(bool(wrong) or not all(scene.tally.exact for scene in scenes))


def played(
    stage: Stage, part: Part, count: int, scenes: list[Scene], progress: Progress
) -> list[str]:
    """Play one part on a worker of its own."""
    task = progress.add_task(part.fault, total=count)
    with playing(stage, scenes, part.fault, part.commit_seconds) as play:
        return part.play(play, count, lambda done: progress.advance(task, done)) or []


def page(scenes: list[Scene], wrong: list[str], arguments: list[str]) -> str:
    """The result as a page."""
    rows = "\n".join(row(scene) for scene in scenes)
    given = f' ARGS="{shlex.join(arguments)}"' if arguments else ""
    return f"""# Faults of the Kafka protocol, {datetime.now(UTC):%Y-%m-%d}

- command: `make faults{given}`
- broker: Apache Kafka {kafka_version()}, one node; client: confluent-kafka \
{confluent_kafka.__version__} (librdkafka {confluent_kafka.libversion()[0]})
- machine: {os.cpu_count()} cores, {platform.system()} {platform.machine()}, \
Python {platform.python_version()}
- engine: one worker, batches of 10, 100 applications a second; a commit is given up after \
{COMMIT_SECONDS} s (the engine's own {COMMIT_SECONDS_MAX:.0f} s in the row of latency), so that a \
delay need not be long

| fault | struck | applications | lost | doubled | audit apart | still p50 s | max s | remedies |
|---|---|---|---|---|---|---|---|---|
{rows}

Lost: without a committed decision. Doubled: decisions beyond the first of an application. Audit
apart: decisions without exactly one audit record, and breaks of the audit chain. Still: from the
fault to the end of the longest pause between two commits that follows it.

Error codes whose remedy was not the one in `tests/faults/expected_errors.toml`: \
{"; ".join(wrong) or "none"}.
"""


def row(scene: Scene) -> str:
    """One line of the table."""
    tally, still = scene.tally, scene.silences
    p50 = f"{statistics.median(still):.1f}" if still else "–"
    most = f"{max(still):.1f}" if still else "–"
    remedies = ", ".join(f"{count} × {name}" for name, count in sorted(scene.remedies.items()))
    apart = tally.unaudited + tally.chain_breaks
    struck = scene.strikes or "–"
    return (
        f"| {scene.fault} | {struck} | {tally.sent} | {tally.lost} | {tally.doubled} | {apart} "
        f"| {p50} | {most} | {remedies or 'none needed'} |"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
