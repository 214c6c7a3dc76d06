"""Real loans decided by the engine, then replayed from its topic: python -m proofs.replay.

An embedded Kafka and `tenminute engine`. Signed commands put a challenger and a
shadow of the consumer model in force, each saying other odds than the champion. The
demo's real loans are published in rounds of 10,000, each round as other people with
fresh instants, and the next only once all are decided: none is late. Then
`tenminute replay --from --to` goes over the topic.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

from chaos.origin import commit_now
from engine_runs import running

from proofs.engine_verbs import said, settings_of
from proofs.topic_page import Found, page_of, tally
from stream.broker import EmbeddedBroker
from stream.codec.application_v1 import encode_application
from stream.codec.headers import cloud_event
from stream.config import Settings
from stream.demo.loans import load_loans
from stream.demo.parts import Parts, await_ready, counter, get
from stream.demo.reconcile import end_offsets
from stream.demo.synthetic import Row
from stream.demo.tables import (
    bureau_rows,
    publish_bureau,
    publish_rows,
    publish_whitelist,
    whitelist_rows,
)
from stream.demo.terms import LoanCase, Run
from stream.domain.instant import from_ms
from stream.domain.topics import APPLICATIONS
from stream.ops import topics

RESULTS = Path(__file__).parents[2] / "bench" / "results"
CHALLENGER, SHADOW = "8.0.0", "9.0.0"
SHARE_PCT = 30
PARTITIONS = 6
ROUND = 10_000
STILL_SECONDS_MAX = 120.0
"""An engine that decides nothing for so long will not decide the rest."""

READY_SECONDS = 120.0
APPROVALS_MAX, AMOUNT_MAX_YUAN = 10_000_000, 100_000_000_000
"""By signed command: else the breaker would soon refer all, at so many a minute."""


class Deciding(NamedTuple):
    """What was sent and decided, and between which instants."""

    since: str
    until: str
    sent: int
    seconds: float


def put_in_force(settings: Settings, keys: list[Path]) -> list[str]:
    """Challenger, shadow and wide limits by signed command; the ids, once all workers have them."""
    every = ["--reason", "replay proof", "--by", "duty", "--wait", "--json"]
    one, both = (
        [part for key in some for part in ("--key-file", str(key))] for some in (keys[:1], keys)
    )
    limits = ["--approvals-max", str(APPROVALS_MAX), "--amount-max-yuan", str(AMOUNT_MAX_YUAN)]
    share = ["--share", str(SHARE_PCT)]
    told = [
        said(settings, "control", "limits", "--segment", "consumer", *limits, *one, *every),
        said(settings, "model", "canary", "consumer", CHALLENGER, *share, *both, *every),
        said(settings, "model", "shadow", "consumer", SHADOW, *one, *every),
    ]
    return [each["command_id"] for each in told]


def rounds(count: int) -> Iterator[tuple[Run, list[LoanCase]]]:
    """Real loans, each round under a name and seed of its own, submitted now."""
    for start in range(0, count, ROUND):
        now_ms = time.time_ns() // 1_000_000
        run = Run(now_ms, seed=7 + start // ROUND, name=f"rp{now_ms:x}")
        yield run, load_loans(run)[: count - start]


def send(settings: Settings, run: Run, cases: list[LoanCase]) -> None:
    """The applications of a round, at full speed."""
    headers = cloud_event("loan.application.v1", "/channels/replay", run.name, from_ms(run.now_ms))
    rows = (
        (Row(case.application.applicant_token.encode(), encode_application(case.application)),
         headers)
        for case in cases
    )  # fmt: skip
    publish_rows(settings, APPLICATIONS, rows, lambda _: None, Event())


def decide(settings: Settings, parts: Parts, count: int) -> Deciding:
    """Offers, reports and applications of every round; back once all are decided."""
    since, started, sent = from_ms(time.time_ns() // 1_000_000), time.monotonic(), 0
    for run, cases in rounds(count):
        rest = (run, lambda _: None, Event())
        publish_whitelist(settings, whitelist_rows(cases, run, 0), *rest)
        publish_bureau(settings, bureau_rows(cases, run, 0), *rest)
        await_ready(settings, parts, READY_SECONDS)
        send(settings, run, cases)
        sent += len(cases)
        await_counted(settings, parts, sent)
        speed = sent / (time.monotonic() - started)
        print(f"decided {sent:,} of {count:,}, {speed:,.0f} a second", flush=True)
    until = from_ms(time.time_ns() // 1_000_000 + 1)
    return Deciding(since, until, sent, time.monotonic() - started)


def await_counted(settings: Settings, parts: Parts, count: int) -> None:
    """Wait until the engine says it has committed so many decisions."""
    last, moved_at = -1, time.monotonic()
    while (now := counter(get(settings, "/metrics")[1], "tenminute_decisions_total")) < count:
        parts.check()
        if now != last:
            last, moved_at = now, time.monotonic()
        assert time.monotonic() - moved_at < STILL_SECONDS_MAX, f"still at {now:,} decisions"
        time.sleep(0.2)


def replayed(settings: Settings, span: Deciding, workers: int) -> dict[str, Any]:
    """What `tenminute replay` says of the span, as JSON."""
    words = ["--from", span.since, "--to", span.until, "--workers", str(workers), "--json"]
    where = ["--bootstrap", settings.bootstrap]
    return said(settings, "replay", *words, *where, fails=True)


def prove(bootstrap: str, folder: Path, count: int, workers: int) -> Found:
    """Decide so many on a running broker with its topics, replay them, and count."""
    settings, keys = settings_of(bootstrap, folder, workers, (CHALLENGER, SHADOW))
    ends = end_offsets(bootstrap)
    with running(settings, folder / "logs") as parts:
        commands = put_in_force(settings, keys)
        span = decide(settings, parts, count)
    told = replayed(settings, span, workers)
    return Found(span.sent, span.seconds, commands, told, tally(bootstrap, ends))


def main() -> None:
    """Decide, replay and write the page; exit code 1 unless every decision is the same."""
    parser = argparse.ArgumentParser(description="The engine's decisions replayed from its topic.")
    parser.add_argument("--count", type=int, default=1_000_000, help="real applications")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the page")
    parser.add_argument("--folder", type=Path, help="of broker and engine")
    given = parser.parse_args()
    before = commit_now()
    with tempfile.TemporaryDirectory(prefix="replay-", dir=given.folder) as name:
        folder = Path(name)
        with EmbeddedBroker(folder / "broker") as broker:
            topics.apply(broker.bootstrap, partitions=PARTITIONS, replication=1)
            found = prove(broker.bootstrap, folder, given.count, given.workers)
    print(json.dumps(found.summary()))
    print(f"written: {page_of(found, given.out, given.workers, before)}")
    raise SystemExit(0 if found.holds else 1)


if __name__ == "__main__":
    main()
