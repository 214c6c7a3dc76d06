"""Fuzz for a while and write down what came of it: python tests/fuzz/run.py --minutes 10.

Seeds are the values of the bad-input tables. Exit code 1 means a finding; the
input that made it stays in the folder named.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from corpus.catalogue import cases  # noqa: E402
from corpus.making import SOUND  # noqa: E402

RESULTS = ROOT / "bench" / "results"
SEED_BYTES_MAX = 70_000
"""Above the largest record read by a little, so that the bound itself is in reach."""


class Found(NamedTuple):
    """What one run of the fuzzer came to."""

    seconds: int
    executions: int
    per_second: int
    edges: int
    features: int
    slowest_ms: float
    findings: list[str]
    log: str


def write_seeds(folder: Path) -> int:
    """One file per different value of the catalogue; how many there are."""
    values = {SOUND} | {each.record.value or b"" for case in cases() for each in case.inputs}
    kept = sorted(value for value in values if len(value) <= SEED_BYTES_MAX)
    for number, value in enumerate(kept):
        (folder / f"{number:04}").write_bytes(value)
    return len(kept)


def fuzz(seconds: int, seeds: Path, findings: Path) -> Found:
    """Run the target for `seconds`, one process at a low priority."""
    slowest = findings / "slowest-ms"
    command = [
        sys.executable, str(ROOT / "tests" / "fuzz" / "decode.py"), str(seeds),
        f"-max_total_time={seconds}", f"-max_len={SEED_BYTES_MAX}", "-timeout=60",
        "-print_final_stats=1", "-rss_limit_mb=2048", f"-artifact_prefix={findings}/",
    ]  # fmt: skip
    run = subprocess.run(
        ["nice", "-n", "10", *command],
        env={**os.environ, "SLOWEST_MS_FILE": str(slowest)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
    )  # fmt: skip
    log = run.stdout
    made = [p.name for p in findings.iterdir() if re.match(r"(crash|timeout|oom|leak)-", p.name)]
    if run.returncode != 0 and not made:
        made = [f"exit code {run.returncode}"]
    covered = re.findall(r"cov: (\d+) ft: (\d+)", log) or [("0", "0")]

    def stat(name: str) -> int:
        found = re.search(rf"stat::{name}:\s+(\d+)", log)
        return int(found[1]) if found else 0

    return Found(
        seconds, stat("number_of_executed_units"), stat("average_exec_per_sec"),
        int(covered[-1][0]), int(covered[-1][1]),
        float(slowest.read_text(encoding="ascii")) if slowest.exists() else 0.0, made, log,
    )  # fmt: skip


def page(found: Found, seeds: int, day: str) -> str:
    """The result, for `bench/results`."""
    minutes = f"{found.seconds / 60:g}"
    return f"""# {day}: coverage-guided fuzzing of decode and pipeline

Command: `make fuzz MINUTES={minutes}`

| | |
|---|---|
| executions | {found.executions:,} |
| executions a second | {found.per_second:,} |
| edges covered, features | {found.edges:,}, {found.features:,} |
| crashes, wrong answers, inputs over 100 ms | {len(found.findings)} |
| slowest input | {found.slowest_ms:.1f} ms of CPU |

- Each execution is five records through the real pipeline, with the shipped models and policy: the
  input as an application, its key, its version header, an event and a reviewer's answer.
  A finding is any exception, an application's record without exactly one answer, an application
  that does not survive its own encoding, a message that repeats a planted name, or more than 100 ms
  of CPU for one input.
- Seeds: {seeds} values of the tables in `tests/corpus/`. Mutations: half libFuzzer's bytes, half
  fields dropped, replaced, renamed, nested or given twice.
- Instrumented: `stream` and Python's `json`. What msgspec and ONNX Runtime do inside is compiled
  code and not counted.
- Versions: atheris {version("atheris")}, msgspec {version("msgspec")}, CPython \
{sys.version.split()[0]}. One process at nice 10, on 2 cores shared with other work.
"""


def main() -> int:
    """Fuzz, print and write the page."""
    parser = argparse.ArgumentParser(description="Fuzz what a record's bytes reach.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--no-page", action="store_true", help="write nothing to bench/results")
    given = parser.parse_args()
    seeds, findings = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    count = write_seeds(seeds)
    found = fuzz(round(given.minutes * 60), seeds, findings)
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    text = page(found, count, day)
    print(text)
    if found.findings:
        print(found.log[-4_000:])
        print(f"findings: {', '.join(found.findings)}, in {findings}")
        return 1
    if not given.no_page:
        (RESULTS / f"{day}-fuzz.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
