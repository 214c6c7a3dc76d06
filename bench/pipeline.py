"""What the pure pipeline costs, stage by stage: python bench/pipeline.py [--json].

The 10,000 real applications of the demo go through `Pipeline.run` in batches,
with the shipped models and policy and an LMDB store holding their offers and
bureau features. No broker takes part. Counted is the CPU time of this process,
which is also its time on a machine of its own: nothing here waits. Each round
starts from an empty ledger; the cheapest round is shown, because on a shared
machine the others also measure their neighbours' use of the caches.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import msgspec

from stream.config import load_settings
from stream.demo.loans import load_loans
from stream.demo.terms import LoanCase, Run
from stream.domain.control import Switches
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.topics import APPLICATIONS
from stream.edge.garbage import settle_down
from stream.edge.lmdb_store import BUREAU, WHITELIST, Change, StoreReader, StoreWriter
from stream.edge.onnx_scorer import load_models
from stream.limits import BATCH_RECORDS_MAX
from stream.pipeline import Circumstances, Pipeline
from stream.policy.load import load_policy
from stream.ports import Record

NOW_MS = 1_795_564_800_000
"""2026-11-25 00:00:00 UTC: the same applications, ages and decisions on any day."""

SEED = 7
HEADERS = (("schema_version", b"1"),)
PACKAGES = ("ten-minute-loan", "numpy", "onnxruntime", "msgspec", "lmdb")


class Round(NamedTuple):
    """One pass over all applications."""

    decided: int
    approved: int
    seconds: dict[str, float]

    @property
    def total_us(self) -> float:
        """Microseconds per decision, all stages."""
        return sum(self.seconds.values()) / self.decided * 1e6


def records_of(cases: Sequence[LoanCase]) -> list[Record]:
    """The applications as they would be polled, all of one partition."""
    return [
        Record(
            APPLICATIONS,
            0,
            offset,
            case.application.applicant_token.encode(),
            msgspec.json.encode(case.application),
            HEADERS,
            NOW_MS,
        )
        for offset, case in enumerate(cases)
    ]


def fill(folder: Path, cases: Sequence[LoanCase]) -> None:
    """Put offers and bureau features into a new store."""
    changes: list[Change] = []
    for case in cases:
        key = case.application.applicant_token.encode()
        if case.entry is not None:
            changes.append((WHITELIST, key, case.entry))
        if case.bureau is not None:
            changes.append((BUREAU, key, case.bureau))
    with StoreWriter(folder) as store:
        store.apply(changes, {}, NOW_MS)


def one_round(
    pipeline: Pipeline, store: StoreReader, records: Sequence[Record], batch_records: int
) -> Round:
    """Decide all records in batches; the reading transaction counts towards `enrich`."""
    ledger = Ledger()
    seconds: dict[str, float] = defaultdict(float)
    decided, approved = 0, 0
    for start in range(0, len(records), batch_records):
        last = time.process_time()

        def mark(stage: str) -> None:
            nonlocal last
            now = time.process_time()
            seconds[stage] += now - last
            last = now

        draft = Draft(ledger)
        with store.reading() as views:
            under = Circumstances(NOW_MS, views, Switches(), 1)
            batch = pipeline.run(records[start : start + batch_records], {0: draft}, under, mark)
        draft.apply(ledger)
        mark("apply")
        decided += len(batch.decisions)
        approved += sum(decision.approved_amount_fen > 0 for decision in batch.decisions)
    return Round(decided, approved, dict(seconds))


def measure(applications: int, batch_records: int, rounds: int) -> Round:
    """The cheapest of `rounds` rounds."""
    settings = load_settings()
    policy = load_policy(settings.policy_file)
    models = policy.models
    pipeline = Pipeline(load_models(settings.models_dir, models), policy)
    cases = load_loans(Run(now_ms=NOW_MS, seed=SEED))[:applications]
    records = records_of(cases)
    with tempfile.TemporaryDirectory() as place:
        fill(Path(place), cases)
        settle_down()  # as a worker does before its first batch
        with StoreReader(Path(place)) as store:
            found = [one_round(pipeline, store, records, batch_records) for _ in range(rounds)]
    return min(found, key=lambda each: each.total_us)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Microseconds per decision and stage.")
    parser.add_argument("--applications", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=BATCH_RECORDS_MAX)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args()
    best = measure(given.applications, given.batch, given.rounds)
    stages_us = {name: spent / best.decided * 1e6 for name, spent in best.seconds.items()}
    about = {
        "decided": best.decided,
        "approved": best.approved,
        "batch": given.batch,
        "rounds": given.rounds,
        "seed": SEED,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    if given.json:
        rounded = {name: round(us, 2) for name, us in stages_us.items()}
        print(json.dumps({**about, "stages_us": rounded, "total_us": round(best.total_us, 2)}))
        return
    for name, us in stages_us.items():
        print(f"{name:8}{us:8.2f} us")
    print(f"{'total':8}{best.total_us:8.2f} us a decision")
    for name, value in about.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
