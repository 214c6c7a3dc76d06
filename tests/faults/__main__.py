"""`make faults`: the faults of the protocol in their full number, with a result page.

Each row is written to the page as soon as it is counted, in place of an earlier one of its name;
Ctrl-C counts what has been done of the row under way, keeps it and ends.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from faults.report import TABLE_COLUMNS, Result, closing, keep
from faults.scenes import (
    STEADY,
    TELLING,
    Load,
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
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from stream.limits import BATCH_RECORDS_MAX, COMMIT_SECONDS_MAX

SAID_EVERY = 5
"""Strikes between two lines of progress where the output is a file, which shows no bar."""

Tick = Callable[[int], None]
SPARSE = Load(rate=20.0)
SLOW = Load(batch_records=BATCH_RECORDS_MAX, commit_seconds=COMMIT_SECONDS_MAX)
"""As the engine is set up: with batches of ten, a round trip of 200 ms would starve it."""


class Part(NamedTuple):
    """One row of the result: what is done how many times, and the minutes that takes."""

    fault: str
    count: int
    play: Callable[[Play, int, Tick], list[str] | None]
    minutes: int
    load: Load = STEADY


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
    Part("F8 answer of EndTxn lost, connection broken", 20, lose_answers, 2),
    Part("F9 EndTxn late past the next begin, connection up", 200, delay_commits, 15, SPARSE),
    Part("F9 EndTxn stray: late, and repeated by the client", 20, strays(Api.END_TXN), 2),
    Part("F9 TxnOffsetCommit stray", 5, strays(Api.TXN_OFFSET_COMMIT), 1),
    Part("F9 AddOffsetsToTxn stray", 5, strays(Api.ADD_OFFSETS), 1),
    Part("F9 AddPartitionsToTxn stray", 5, strays(Api.ADD_PARTITIONS), 1),
    Part("F9 Produce stray", 20, strays(Api.PRODUCE), 2),
    Part("F10 error code told, request not done", len(cases()), told(done=False), 6, TELLING),
    Part("F10 error code told, request done", len(cases()), told(done=True), 6, TELLING),
    Part("F18 seconds at 200 ± 100 ms of latency", 60, slow_down, 2, SLOW),
    Part("F20 half-open: 3 s swallowed, never answered", 5, half_open, 2, SPARSE),
)


def main(arguments: list[str]) -> int:
    """Play every part; 0 when every row is exact and every code had its remedy."""
    chosen = asked(arguments)
    results: list[Result] = []
    path = chosen.to / f"{datetime.now(UTC):%Y-%m-%d}-faults.md"
    # Whoever ends it by a signal is to find the row under way counted, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    columns = (TextColumn("{task.description:52}"), BarColumn(8), MofNCompleteColumn())
    try:
        with (
            tempfile.TemporaryDirectory(prefix="faults-") as folder,
            set_stage(Path(folder)) as stage,
            Progress(*columns, TimeElapsedColumn()) as progress,
        ):
            for part in (each for each in PARTS if re.search(chosen.only, each.fault)):
                count = max(1, round(part.count * chosen.share))
                for result in played(stage, part, count, progress):
                    results.append(result)
                    keep(path, result)
    except KeyboardInterrupt:
        print("broken off")
    Console(width=TABLE_COLUMNS).print(closing(results))
    print(f"written to {path}")
    return int(not results or not all(result.holds for result in results))


def asked(arguments: list[str]) -> argparse.Namespace:
    """The arguments; --help names each row and what it takes."""
    rows = "\n".join(f"{part.minutes:5}  {part.fault}" for part in PARTS)
    parser = argparse.ArgumentParser(
        prog="faults",
        description="Lost, late and false answers of Kafka, with a result page.",
        epilog="minutes and rows, on two cores that nobody else uses:\n"
        f"{rows}\n\nexample: make faults ARGS='--only \"F9 Produce\" --share 0.5'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--share", type=float, default=1.0, help="how much of the full number")
    parser.add_argument("--only", default="", help="a pattern of the rows to play")
    parser.add_argument("--to", type=Path, default=Path("bench/results"), help="folder of results")
    return parser.parse_args(arguments)


def played(stage: Stage, part: Part, count: int, progress: Progress) -> Iterator[Result]:
    """Play one part on a worker of its own; what it came to, also when it is broken off."""
    task = progress.add_task(part.fault, total=count)
    scenes: list[Scene] = []
    wrong: list[str] = []
    broken = False

    def tick(done: int) -> None:
        progress.advance(task, done)
        at = int(progress.tasks[task].completed)
        if not progress.console.is_terminal and at % SAID_EVERY == 0:
            print(f"{datetime.now(UTC):%H:%M:%S} {part.fault}: {at}/{count}", flush=True)

    try:
        with playing(stage, scenes, part.fault, part.load) as play:
            wrong += part.play(play, count, tick) or []
    except KeyboardInterrupt:
        broken = True
    yield from (Result(scene, wrong) for scene in scenes)
    if broken:
        raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
