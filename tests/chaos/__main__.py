"""`python -m chaos`: break the engine on purpose, and count what it cost. Also `make chaos`.

`make chaos ARGS=--list` names every scenario with the minutes it takes.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Annotated, Literal

import typer
from chaos.bars import BARS, verdict
from chaos.origin import between, commit_now
from chaos.progress import Say
from chaos.report import Page, row, table
from chaos.scenarios import SCENARIOS, Setting, Size, SkippedError
from chaos.stage import Result
from confluent_kafka import KafkaException
from rich.console import Console
from rich.status import Status

from stream.errors import BrokerError

RESULTS = Path(__file__).parents[2] / "bench" / "results"
FAILURES_SHOWN = 20
LINE_SECONDS = 30.0
"""Between two lines of progress where no terminal can show one that changes."""
console = Console()
app = typer.Typer(add_completion=False, rich_markup_mode=None)


def listed() -> str:
    """Every scenario with its expected minutes."""
    total = [sum(each.minutes[index] for each in SCENARIOS.values()) for index in (0, 1)]
    lines = [
        f"{name:<14}{each.minutes[0]:>5}{each.minutes[1]:>7}  {each.what}"
        for name, each in SCENARIOS.items()
    ]
    head = f"{'':<14}{'full':>5}{'short':>7}  expected minutes, alone on two cores"
    return "\n".join([head, *lines, f"{'all':<14}{total[0]:>5}{total[1]:>7}"])


@app.command(epilog="\b\n" + listed())
def main(
    scenario: Annotated[list[str] | None, typer.Option(help="one or more; all by default")] = None,
    scale: Annotated[Literal["full", "short"], typer.Option(help="how big")] = "short",
    seed: Annotated[int, typer.Option(help="0: a new one, printed")] = 0,
    applications: Annotated[int, typer.Option(help="another size than the scale's")] = 0,
    faults: Annotated[int, typer.Option(help="another count than the scale's")] = 0,
    *,
    show: Annotated[bool, typer.Option("--list", help="name all scenarios and end")] = False,
    logs: Annotated[bool, typer.Option(help="keep the folder of a clean run too")] = False,
    keep: Annotated[bool, typer.Option(help="write bench/results/<date>-chaos.md")] = False,
) -> None:
    """Play scenarios on a real Kafka; exit 1 when anything is lost, doubled or mismatched.

    Example: make chaos SCENARIO=kill100 SCALE=full SEED=7
    """
    if show:
        typer.echo(listed())
        return
    names = scenario or list(SCENARIOS)
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        console.print(f"no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}")
        raise typer.Exit(2)
    seed = seed or time.time_ns() % 1_000_000
    console.print(f"seed {seed}, scale {scale}")
    sizes = {name: _size(name, scale, applications, faults) for name in names}
    command = _command(names, scale, seed, applications, faults)
    page = Page(RESULTS, command, scale, names) if keep else None
    results: list[Result] = []
    skipped: dict[str, str] = {}
    failed = False
    for name in names:
        try:
            results.append(play_one(name, sizes[name], seed, logs=logs))
        except (BrokerError, AssertionError, TimeoutExpired, KafkaException) as error:
            console.print(f"[bold red]{name} DID NOT END: {error}")
            skipped[name] = f"did not end: {error}"
            failed = True
        except SkippedError as error:
            skipped[name] = str(error)
            console.print(f"[bold yellow]{name} NOT RUN: {error}")
        if page:
            page.write(results, skipped)
    console.print(table(results, skipped))
    if page:
        console.print(f"written: {page.path}")
    dirty = any(not result.clean for result in results)
    raise typer.Exit(1 if dirty or failed else 0)


def _size(name: str, scale: str, applications: int, faults: int) -> Size:
    chosen = SCENARIOS[name]
    size = chosen.full if scale == "full" else chosen.short
    if faults:
        size = size._replace(seconds=size.seconds * faults / size.faults, faults=faults)
    return size._replace(applications=applications or size.applications)


def _command(names: list[str], scale: str, seed: int, applications: int, faults: int) -> str:
    """What to type to play the same again."""
    more = [f"--{option} {value}" for option, value in
            (("applications", applications), ("faults", faults)) if value]  # fmt: skip
    arguments = f' ARGS="{" ".join(more)}"' if more else ""
    return f'make chaos SCENARIO="{" ".join(names)}" SCALE={scale} SEED={seed}{arguments}'


def play_one(name: str, size: Size, seed: int, *, logs: bool) -> Result:
    """One scenario in a folder of its own, with its progress on one line."""
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{name}-"))
    before = commit_now()
    with console.status(f"{name}: starting") as status:
        result = SCENARIOS[name].run(name, Setting(size, seed, folder, _teller(name, status)))
    result.commit = between(before, commit_now())
    if result.clean and not logs:
        shutil.rmtree(folder)
    else:
        console.print(f"     broker, logs and state: {folder}")
    cells = ", ".join(f"{column} {cell}" for column, cell in list(row(result).items())[1:-1])
    mark = "ok  " if result.clean else "BAD "
    console.print(f"{mark} {name}: {cells}", highlight=False, soft_wrap=True)
    console.print(f"     recovery {BARS[name].what}: {verdict(result)}", highlight=False)
    for note in dict.fromkeys(result.faults.notes):
        console.print(f"     {note} ({result.faults.notes.count(note)}×)")
    for failure in result.failures[:FAILURES_SHOWN]:
        console.print(f"     FAILED: {failure}", highlight=False, soft_wrap=True)
    return result


def _teller(name: str, status: Status) -> Say:
    """Shows progress in place on a terminal, as a line now and then elsewhere."""
    said_at = 0.0

    def say(what: str) -> None:
        nonlocal said_at
        status.update(f"{name}: {what}")
        if not console.is_terminal and time.monotonic() - said_at > LINE_SECONDS:
            said_at = time.monotonic()
            console.print(f"     {name}: {what}", highlight=False)

    return say


if __name__ == "__main__":
    app()
