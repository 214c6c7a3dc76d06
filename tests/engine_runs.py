"""A whole engine on a real Kafka, started, fed and watched: what the engine's tests share."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from confluent_kafka import Producer, TopicPartition
from msgspec import json

from stream.broker.place import free_port
from stream.codec.headers import cloud_event
from stream.codec.keys import PARTITIONER
from stream.config import Settings, load_settings
from stream.demo.parts import Parts, await_ready
from stream.demo.reconcile import Offsets, read_decisions
from stream.demo.synthetic import synthetic_cases
from stream.demo.tables import bureau_rows, publish_bureau, publish_whitelist, whitelist_rows
from stream.demo.terms import LoanCase, Run
from stream.domain.instant import from_ms
from stream.domain.outcome import LoanOutcome
from stream.domain.topics import APPLICATIONS, INPUTS, OUTCOMES
from stream.edge.clients import consumer
from stream.obs.health import read_health

READY_SECONDS = 60.0
ANSWER_SECONDS = 60.0


def cases(count: int) -> tuple[Run, list[LoanCase]]:
    """Made-up farmers and merchants of a run with a name of its own."""
    now_ms = time.time_ns() // 1_000_000
    run = Run(now_ms=now_ms, name=f"t{now_ms:x}")
    return run, synthetic_cases(run, count)


def engine_settings(bootstrap: str, folder: Path, run: Run, workers: int = 1) -> Settings:
    """Settings of one engine with a group, a store and a port of its own."""
    return load_settings(
        bootstrap=bootstrap,
        state_dir=folder,
        group_id=f"engine-{run.name}",
        metrics_port=free_port(),
        batch_records=20,
        workers=workers,
    )


def load_tables(settings: Settings, run: Run, people: list[LoanCase]) -> None:
    """Whitelist and bureau features through their topics; the engine starts at today's end."""
    pass_over_earlier(settings)
    stop = Event()
    publish_whitelist(settings, whitelist_rows(people, run, 0), run, lambda _: None, stop)
    publish_bureau(settings, bureau_rows(people, run, 0), run, lambda _: None, stop)


def pass_over_earlier(settings: Settings) -> None:
    """Commit the ends of all inputs, so that other tests' records are not decided here."""
    group = consumer(settings, settings.group_id)
    places = [TopicPartition(topic, p) for topic in INPUTS for p in range(settings.partitions)]
    for place in places:
        place.offset = group.get_watermark_offsets(place, timeout=10)[1]
    group.commit(offsets=places, asynchronous=False)
    group.close()


def publish(settings: Settings, people: list[LoanCase], at_ms: int | None = None) -> None:
    """One application each, submitted now or at `at_ms`."""
    client = Producer({"bootstrap.servers": settings.bootstrap, "partitioner": PARTITIONER})
    at = from_ms(at_ms or time.time_ns() // 1_000_000)
    for person in people:
        application = json.decode(json.encode(person.application))
        application["submitted_at"] = at
        application.pop("decide_by", None)
        client.produce(
            APPLICATIONS,
            key=application["applicant_token"],
            value=json.encode(application),
            headers=[*cloud_event("loan.application.v1", "/test", at, at)],
        )
    assert client.flush(30) == 0


def publish_outcomes(settings: Settings, outcomes: Sequence[LoanOutcome]) -> None:
    """What became of loans, in this order for each person."""
    client = Producer({"bootstrap.servers": settings.bootstrap, "partitioner": PARTITIONER})
    for each in outcomes:
        client.produce(OUTCOMES, json.encode(each), each.applicant_token)
    assert client.flush(30) == 0


def await_caught_up(settings: Settings, parts: Parts, topics: Sequence[str] = INPUTS) -> None:
    """Wait until the engine has committed every record there is.

    Not for applications once one was sent on: the end of that transaction takes an offset too,
    which no consumer ever reads.
    """
    looker = consumer(settings, settings.group_id)
    places = [TopicPartition(topic, p) for topic in topics for p in range(settings.partitions)]
    ends = {(p.topic, p.partition): looker.get_watermark_offsets(p, timeout=10)[1] for p in places}
    deadline = time.monotonic() + ANSWER_SECONDS
    try:
        while any(
            max(0, place.offset) < ends[place.topic, place.partition]
            for place in looker.committed(places, timeout=10)
        ):
            parts.check()
            assert time.monotonic() < deadline, "the engine has not caught up in time"
            time.sleep(0.05)
    finally:
        looker.close()


@contextmanager
def running(settings: Settings, logs: Path) -> Iterator[Parts]:
    """An engine that is ready, for as long as the context lasts."""
    with Parts(settings, logs) as parts:
        parts.start("engine")
        await_ready(settings, parts, READY_SECONDS)
        yield parts


def pid_of(settings: Settings, process: str) -> int:
    """Process id of one of the engine's processes."""
    return next(h.pid for h in read_health(settings.health_dir) if h.process == process)


def await_decided(bootstrap: str, since: Offsets, parts: Parts, count: int) -> None:
    """Wait until `count` applications have a committed decision."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while len({d.application_id for d in read_decisions(bootstrap, since)}) < count:
        parts.check()
        assert time.monotonic() < deadline, "not all applications were decided in time"
        time.sleep(0.3)
