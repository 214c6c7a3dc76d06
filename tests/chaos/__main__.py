"""`python -m chaos`: break the engine on purpose, and count what it cost. Also `make chaos`."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Annotated, Literal

import typer
from chaos.report import page, row, table, write
from chaos.scenarios import SCENARIOS, Setting, SkippedError
from chaos.stage import Result
from rich.console import Console

from stream.errors import BrokerError

RESULTS = Path(__file__).parents[2] / "bench" / "results"
console = Console()
app = typer.Typer(add_completion=False)


@app.command()
def main(
    scenario: Annotated[list[str] | None, typer.Option(help="one or more; all by default")] = None,
    scale: Annotated[Literal["full", "short"], typer.Option(help="how big")] = "short",
    seed: Annotated[int, typer.Option(help="0: a new one, printed")] = 0,
    applications: Annotated[int, typer.Option(help="another size than the scale's")] = 0,
    faults: Annotated[int, typer.Option(help="another count than the scale's")] = 0,
    *,
    logs: Annotated[bool, typer.Option(help="keep the folder of a clean run too")] = False,
    keep: Annotated[bool, typer.Option(help="write bench/results/<date>-chaos.md")] = False,
) -> None:
    """Play scenarios on a real Kafka; exit 1 when anything is lost, doubled or mismatched.

    Example: make chaos SCENARIO=kill100 SCALE=full SEED=7
    """
    names = scenario or list(SCENARIOS)
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        console.print(f"no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}")
        raise typer.Exit(2)
    seed = seed or time.time_ns() % 1_000_000
    console.print(f"seed {seed}, scale {scale}")
    results: list[Result] = []
    skipped: dict[str, str] = {}
    failed = False
    for name in names:
        try:
            results.append(
                play_one(name, scale, seed, applications=applications, faults=faults, logs=logs)
            )
        except (BrokerError, AssertionError, TimeoutExpired) as error:
            console.print(f"[bold red]{name} DID NOT END: {error}")
            skipped[name] = f"did not end: {error}"
            failed = True
        except SkippedError as error:
            skipped[name] = str(error)
            console.print(f"[bold yellow]{name} NOT RUN: {error}")
    console.print(table(results, skipped))
    command = f"make chaos SCENARIO={' '.join(names)} SCALE={scale} SEED={seed}"
    if applications or faults:
        command += (
            f" (applications {applications or 'as the scale'}, faults {faults or 'likewise'})"
        )
    text = page(results, skipped, command, seed, scale)
    if keep:
        console.print(f"written: {write(text, RESULTS, scale)}")
    dirty = [result for result in results if not result.clean]
    for result in dirty:
        for finding in result.verdict.findings[:20]:
            console.print(f"{result.name}: {finding.kind}: {finding.where}: {finding.what}")
    raise typer.Exit(1 if dirty or failed else 0)


def play_one(
    name: str, scale: str, seed: int, *, applications: int, faults: int, logs: bool
) -> Result:
    """One scenario in a folder of its own, with its progress on one line."""
    chosen = SCENARIOS[name]
    size = chosen.full if scale == "full" else chosen.short
    if faults:
        size = size._replace(seconds=size.seconds * faults / size.faults, faults=faults)
    size = size._replace(applications=applications or size.applications)
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{name}-"))
    with console.status(f"{name}: starting") as status:
        setting = Setting(size, seed, folder, lambda what: status.update(f"{name}: {what}"))
        result = chosen.run(name, setting)
    if result.clean and not logs:
        shutil.rmtree(folder)
    else:
        console.print(f"     broker, logs and state: {folder}")
    cells = "  ".join(row(result))
    console.print(f"{'ok  ' if result.clean else 'BAD '} {cells}", highlight=False)
    for note in dict.fromkeys(result.notes):
        console.print(f"     {note} ({result.notes.count(note)}×)")
    return result


if __name__ == "__main__":
    app()
