"""The nearest yes over ten thousand real cases: python -m proofs.nearest [--cases 300].

A case is an application that was not approved as it was asked: referred, or
approved for less. For each the nearest yes is looked for. What is found is then
asked for in earnest: the changed application's bytes, under an id of its own, go
through a new pipeline with a ledger, store and switches that know nothing of the
search, and it must be approved as it stands.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import msgspec
from builders import FakeViews, under
from policy_cases import POLICY

from proofs.cases import MODELS, NOW_MS, cases_of, decided, record_of
from stream.audit.at_hand import AtHand
from stream.audit.nearest import Finder, NearestYes
from stream.demo.terms import LoanCase
from stream.domain.application import Segment
from stream.domain.decision import Decision, Outcome
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.pipeline import Pipeline

SHARES = {Segment.FARMER: 0.25, Segment.MERCHANT: 0.35, Segment.CONSUMER: 0.4}


def in_full(decision: Decision) -> bool:
    """Whether it was approved as it was asked."""
    return decision.outcome is Outcome.APPROVE and not decision.counter_offer


class Sent:
    """Sends a changed application anew, as if nobody had searched."""

    def __init__(self) -> None:
        self._pipeline = Pipeline(MODELS, POLICY)

    def decides(self, case: LoanCase, found: NearestYes) -> Decision:
        """What the engine makes of it."""
        app = msgspec.structs.replace(
            case.application,
            application_id=f"yes-{case.application.application_id}",
            **found.words(case.application),
        )
        held = [part for part in (case.entry, case.bureau) if part is not None]
        views = FakeViews(*held, fresh_at_ms=NOW_MS)
        run = self._pipeline.run([record_of(app)], {0: Draft(Ledger())}, under(views, NOW_MS))
        (decision,) = run.decisions
        return decision


def fault(case: LoanCase, found: NearestYes, made: Decision) -> str:
    """What is wrong with a nearest yes; empty when it holds."""
    app = case.application
    if not found.words(app):
        return "nothing changed"
    if found.amount_fen > app.requested_amount_fen:
        return "more than was asked"
    if not in_full(made) or made.approved_amount_fen != found.amount_fen:
        return f"{made.outcome.value} {made.reasons[0].code if made.reasons else ''}".strip()
    if made.score_points != found.points:
        return "other points"
    return ""


def judge(cases: Sequence[LoanCase]) -> Counter[str]:
    """Counts of what became of each case; `fault: ...` must not be among them."""
    finder, sent = Finder(AtHand(MODELS, POLICY)), Sent()
    told: Counter[str] = Counter()
    for case, audit in zip(cases, decided(cases), strict=True):
        found = finder.find(audit)
        kind = "referred" if audit.decision.outcome is Outcome.REFER else "less offered"
        if in_full(audit.decision):
            told["approved as asked" if found is None else "fault: changed needlessly"] += 1
            continue
        told[f"{kind}, {'none found' if found is None else 'found'}"] += 1
        if found is None:
            continue
        told[f"changed: {' and '.join(sorted(found.words(case.application)))}"] += 1
        wrong = fault(case, found, sent.decides(case, found))
        if wrong:
            told[f"fault: {wrong}"] += 1
    return told


def wanted(segment: Segment, count: int) -> tuple[str, list[LoanCase]]:
    """So many cases that were not approved as asked, and their source."""
    source, cases = cases_of(segment)
    open_cases: list[LoanCase] = []
    for start in range(0, len(cases), 1_000):
        some = cases[start : start + 1_000]
        made = zip(some, decided(some), strict=True)
        open_cases += [case for case, audit in made if not in_full(audit.decision)]
        if len(open_cases) >= count:
            break
    return source, open_cases[:count]


def main() -> None:
    """Search, send and count; exit code 1 for a nearest yes that is not approved."""
    parser = argparse.ArgumentParser(description="Each nearest yes is approved when asked for.")
    parser.add_argument("--cases", type=int, default=10_000, help="not approved as asked")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    started, faults = time.monotonic(), 0
    with ProcessPoolExecutor(given.workers, get_context("spawn")) as pool:
        for segment, share in SHARES.items():
            source, cases = wanted(segment, round(share * given.cases))
            parts = [cases[start : start + 100] for start in range(0, len(cases), 100)]
            told: Counter[str] = sum(pool.map(judge, parts), Counter())
            faults += sum(count for name, count in told.items() if name.startswith("fault"))
            line = {"segment": segment.value, "cases": len(cases), "source": source, **told}
            print(json.dumps(line), flush=True)
    seconds = round(time.monotonic() - started, 1)
    print(json.dumps({"faults": faults, "seconds": seconds, "workers": given.workers}))
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
