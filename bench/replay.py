"""Decisions replayed by the million: python bench/replay.py FILE --decisions 1000000.

FILE is an export of the audit, made here unless it is there: the demo's 10,000
real consumer loans and 2,000 made-up farmers and merchants, round after round
with another seed and other people, through the engine's own pipeline in batches
of 500, over 12 partitions, 15 seconds apart. Then `tenminute replay` and
`tenminute what-if` go over it, and what they say is printed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import msgspec

from stream.codec.keys import partitions_of
from stream.config import load_settings
from stream.demo.loans import load_loans
from stream.demo.synthetic import synthetic_cases
from stream.demo.terms import LoanCase, Run
from stream.domain.bureau import BureauFeatures
from stream.domain.control import Switches
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.topics import APPLICATIONS, AUDIT
from stream.domain.whitelist import WhitelistEntry
from stream.edge.onnx_scorer import load_models
from stream.limits import BATCH_RECORDS_MAX
from stream.ops.audit_read import Kept, line_of
from stream.pipeline import Circumstances, Pipeline
from stream.policy.load import load_policy
from stream.ports import Record

NOW_MS = 1_795_564_800_000
"""2026-11-25 00:00:00 UTC, of the first round."""

PARTITIONS = 12
PACE_MS = 15_000
"""Between two batches: the breaker's window then holds no more than the policy allows."""

ROUND_MS = 3_600_000
REAL, MADE_UP = 10_000, 2_000
HEADERS = (("schema_version", b"1"),)


class Part(NamedTuple):
    """The partitions that one process decides, how many decisions there are, from which round."""

    file: Path
    numbers: tuple[int, ...]
    decisions: int
    first_round: int


class Held:
    """Offers and bureau views of one round, in memory."""

    def __init__(self, cases: list[LoanCase], fresh_at_ms: int) -> None:
        self.fresh_at_ms = fresh_at_ms
        self._cases = {case.application.applicant_token: case for case in cases}

    def whitelist(self, applicant_token: str) -> WhitelistEntry | None:
        """The offer of the person's case."""
        return self._cases[applicant_token].entry

    def bureau(self, applicant_token: str) -> BureauFeatures | None:
        """The bureau view of the person's case."""
        return self._cases[applicant_token].bureau


def rounds(decisions: int, number: int) -> Iterator[tuple[int, list[LoanCase]]]:
    """Each round's moment and cases from that number on, until there are enough."""
    while decisions > 0:
        run = Run(NOW_MS + number * ROUND_MS, seed=7 + number, name=f"r{number:04d}")
        cases = load_loans(run)[:REAL] + synthetic_cases(run, MADE_UP)
        yield run.now_ms, cases[:decisions]
        decisions -= len(cases)
        number += 1


def records_of(cases: list[LoanCase], now_ms: int) -> list[Record]:
    """The applications as they would be polled, each on its own partition."""
    keys = [case.application.applicant_token.encode() for case in cases]
    places = zip(cases, keys, partitions_of(keys, PARTITIONS), strict=True)
    return [
        Record(APPLICATIONS, place, number, key, msgspec.json.encode(case.application), HEADERS,
               now_ms)
        for number, (case, key, place) in enumerate(places)
    ]  # fmt: skip


def make_part(part: Part) -> int:
    """Decide the part's share of every round and write its audit; how many were decided."""
    settings = load_settings()
    policy = load_policy(settings.policy_file)
    models = policy.models
    pipeline = Pipeline(load_models(settings.models_dir, models), policy)
    ledgers = {number: Ledger() for number in part.numbers}
    offsets = dict.fromkeys(part.numbers, 0)
    decided = 0
    with part.file.open("w", encoding="utf-8") as out:
        for now_ms, cases in rounds(part.decisions, part.first_round):
            views = Held(cases, now_ms)
            for start in range(0, len(cases), BATCH_RECORDS_MAX):
                polled = records_of(cases[start : start + BATCH_RECORDS_MAX], now_ms)
                mine = [record for record in polled if record.partition in ledgers]
                at_ms = now_ms + start // BATCH_RECORDS_MAX * PACE_MS
                drafts = {number: Draft(ledger) for number, ledger in ledgers.items()}
                under = Circumstances(at_ms, views, Switches(), PARTITIONS)
                batch = pipeline.run(mine, drafts, under)
                decided += write(batch.outputs, offsets, out)
                for number, draft in drafts.items():
                    draft.apply(ledgers[number])
    return decided


def write(outputs: list[Any], offsets: dict[int, int], out: TextIO) -> int:
    """Append the audit records to the export; how many there were."""
    audits = [each for each in outputs if each.topic == AUDIT]
    for each in audits:
        offset = offsets[each.partition]
        offsets[each.partition] = offset + 1
        kept = Kept(AUDIT, each.partition, offset, each.key, each.value, each.headers)
        out.write(line_of(kept) + "\n")
    return len(audits)


def make(file: Path, decisions: int, first_round: int, processes: int) -> int:
    """Write the export with so many processes; how many decisions it holds."""
    shares = [tuple(range(each, PARTITIONS, processes)) for each in range(processes)]
    parts = [
        Part(file.with_name(f"{file.name}.{number}"), share, decisions, first_round)
        for number, share in enumerate(shares)
    ]
    with ProcessPoolExecutor(processes) as pool:
        decided = sum(pool.map(make_part, parts))
    whole = file.with_name(f"{file.name}.part")
    with whole.open("wb") as out:
        for part in parts:
            with part.file.open("rb") as lines:
                shutil.copyfileobj(lines, out, 1 << 24)
            part.file.unlink()
    whole.rename(file)
    return decided


def told(verb: list[str]) -> dict[str, Any]:
    """What a verb of the command says, and the time and CPU time that it took."""
    started = time.monotonic()
    command = [sys.executable, "-m", "stream", *verb, "--json"]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(run.stdout)
    found["elapsed_seconds"] = round(time.monotonic() - started, 1)
    return found


def main() -> None:
    """Make the export if need be, then replay it and ask what if."""
    parser = argparse.ArgumentParser(description="Decisions replayed a second.")
    parser.add_argument("file", type=Path, help="the export, made if it is not there")
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--first-round", type=int, default=0, help="other people than before it")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if not given.file.exists():
        started = time.monotonic()
        decided = make(given.file, given.decisions, given.first_round, given.workers)
        took = time.monotonic() - started
        print(f"made {decided:,} decisions in {took:,.0f} s", file=sys.stderr)
    common = ["--file", str(given.file), "--workers", str(given.workers)]
    for verb in (["replay", "--all"], ["what-if", "--policy", "stream/policy/policy.toml"]):
        print(json.dumps({"verb": verb[0], **told([*verb, *common])}))


if __name__ == "__main__":
    main()
