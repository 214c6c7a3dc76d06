"""What a row came to: a line of the result page, which keeps its other rows, and of the table."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import confluent_kafka
from faults.scenes import COMMIT_SECONDS, TELLING, Scene
from rich.table import Table

from stream.broker.jars import kafka_version
from stream.limits import COMMIT_SECONDS_MAX

TABLE_COLUMNS = 80
"""Width of the closing table, that of the narrowest terminal in use."""


class Result(NamedTuple):
    """A row, and the error codes in it whose remedy was another than the table's."""

    scene: Scene
    wrong: Sequence[str]

    @property
    def holds(self) -> bool:
        """Whether each application has its one decision and each code had its remedy."""
        return self.scene.tally.exact and not self.wrong


def keep(path: Path, result: Result) -> None:
    """Put the row into the page, in place of an earlier one of its name; make the page if need be.

    The page is written at once, so that a run broken off keeps the rows before.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else _page()
    line = row(result)
    old = re.compile(rf"^\| {re.escape(result.scene.fault)} \|.*$", re.MULTILINE)
    if old.search(text):
        text = old.sub(lambda _: line, text)
    else:
        lines = text.splitlines()
        last = max(number for number, each in enumerate(lines) if each.startswith("|"))
        text = "\n".join([*lines[: last + 1], line, *lines[last + 1 :]]) + "\n"
    path.write_text(text, encoding="utf-8")


def _page() -> str:
    """A page without rows."""
    return f"""# Faults of the Kafka protocol, {datetime.now(UTC):%Y-%m-%d}

- command: `make faults`
- broker: Apache Kafka {kafka_version()}, one node; client: confluent-kafka \
{confluent_kafka.__version__} (librdkafka {confluent_kafka.libversion()[0]})
- machine: {os.cpu_count()} cores, {platform.system()} {platform.machine()}, \
Python {platform.python_version()}
- engine: one worker; a commit is given up after {COMMIT_SECONDS} s, so that a delay need not be
  long; after {TELLING.commit_seconds} s in the rows of error codes, as the client repeats some \
by itself after half a
  second; after the engine's own {COMMIT_SECONDS_MAX:.0f} s in the row of latency

| fault | struck | applications | lost | doubled | audit apart | still p50 s | max s | remedies |
|---|---|---|---|---|---|---|---|---|

Lost: without a committed decision. Doubled: decisions beyond the first of an application. Audit
apart: decisions without exactly one audit record, and breaks of the audit chain. Still: from the
fault to the end of the longest pause between two commits that follows it.
"""


def row(result: Result) -> str:
    """One line of the page."""
    scene, tally = result.scene, result.scene.tally
    remedies = ", ".join(f"{count} × {name}" for name, count in sorted(scene.remedies.items()))
    told = [remedies or "none needed", *result.wrong, *(["broken off"] if scene.broken else [])]
    apart = tally.unaudited + tally.chain_breaks
    return (
        f"| {scene.fault} | {scene.strikes or '–'} | {tally.sent} | {tally.lost} | {tally.doubled} "
        f"| {apart} | {_seconds(scene, statistics.median)} | {_seconds(scene, max)} "
        f"| {'; '.join(told)} |"
    )


def _seconds(scene: Scene, of: Callable[[list[float]], float]) -> str:
    return f"{of(scene.silences):.1f}" if scene.silences else "–"


def closing(results: Sequence[Result]) -> Table:
    """The rows of this run, for the terminal."""
    table = Table(width=TABLE_COLUMNS, box=None, pad_edge=False)
    table.add_column("", width=1)
    table.add_column("Fault", ratio=1)
    for name in ("Struck", "Sent", "Lost", "Twice", "Still s"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        scene, tally = result.scene, result.scene.tally
        counts = (str(scene.strikes or "–"), str(tally.sent), str(tally.lost), str(tally.doubled))
        mark = "✓" if result.holds else "✗"
        table.add_row(mark, scene.fault, *counts, _seconds(scene, max))
        for wrong in result.wrong:
            table.add_row("", wrong)
    return table
