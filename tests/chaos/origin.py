"""Of which code and which versions a row is, so that rows of several commits say so themselves."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import confluent_kafka

from stream import __version__
from stream.broker.jars import kafka_version

ROOT = Path(__file__).parents[2]
_RESULTS = ":!bench/results"
"""Pages that a run writes do not make its code another."""


def commit_now(root: Path = ROOT) -> str:
    """The commit checked out, with a mark when files differ from it; `unknown` without git."""
    commit = _git(root, "rev-parse", "--short", "HEAD")
    if not commit:
        return "unknown"
    return f"{commit} dirty" if _git(root, "status", "--porcelain", "--", ".", _RESULTS) else commit


def between(before: str, after: str) -> str:
    """The commit of a scenario; both where the code changed while it ran."""
    return before if before == after else f"{before} to {after}"


def versions() -> str:
    """What it ran on."""
    return (
        f"ten-minute-loan {__version__}, Kafka {kafka_version()}, confluent-kafka "
        f"{confluent_kafka.version()}, CPython {platform.python_version()}"
    )


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip()
