"""Workload W: what the channels and the screening publish while things break.

Everything is drawn from one seed. All people are made up (ids `DEMO-…`, `synthetic` is
true), and each applies several times, so that promises of one person meet. Beside good
applications there are exact repeats, the same id with other content, records nobody can
read, and a channel whose client hashes keys another way. Each record says in its header
`x-chaos` which number it has and, when it is malformed, which dead letter it must become:
this, and not the engine's decoder, is what the oracle goes by.
"""

from __future__ import annotations

import heapq
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from random import Random
from threading import Event, Thread
from typing import NamedTuple

from chaos.quiet import QUIET
from confluent_kafka import KafkaError, Message, Producer
from msgspec.structs import replace

from stream.codec.application_v1 import encode_application
from stream.codec.headers import Headers, cloud_event
from stream.codec.keys import PARTITIONER
from stream.demo.broken import WAYS, break_record
from stream.demo.synthetic import filler_entries, synthetic_cases
from stream.demo.terms import LoanCase, Run
from stream.domain.application import Application, Channel
from stream.domain.application_event import EventKind
from stream.domain.instant import from_ms
from stream.domain.topics import APPLICATIONS, WHITELIST

MARK = "x-chaos"
REPEAT_WITHIN = 400
"""A repeat comes within so many records; by then the first may be decided or not."""
DECIDE_WITHIN_MS = 24 * 3_600_000
"""No application is late, however long a scenario takes: approvals must go on meeting."""
FORETOLD_EVERY = 50
"""Of so many applications one is withdrawn or for a person, and of so many people one revokes."""
_LIBRDKAFKA_DEFAULT = "consistent_random"
_TICK_SECONDS = 0.02
_AGAIN_SECONDS = 0.2
_FLUSH_SECONDS = 300.0
_LAPSE_SECONDS_MAX = 0.5


class Shape(NamedTuple):
    """How much of what; shares are of `applications`."""

    applications: int
    seed: int
    repeats: float = 0.05
    conflicts: float = 0.01
    malformed: float = 0.02
    scattered: float = 0.01
    copies: int = 1
    """Sendings of every good record: a channel's retry storm."""
    per_person: int = 4
    whitelist_updates: int = 0


class Sent(NamedTuple):
    """One record for `loan.applications`."""

    key: bytes
    value: bytes
    headers: Headers
    scattered: bool


class Workload:
    """The people of a run, and the stream of records they make."""

    def __init__(self, shape: Shape, *, age_ms: int = 0) -> None:
        """Draw the people; every application is `age_ms` old when it is sent."""
        now_ms = time.time_ns() // 1_000_000 - age_ms
        self.shape, self.run = shape, Run(now_ms=now_ms, seed=shape.seed, name=f"c{now_ms:x}")
        self.people: list[LoanCase] = synthetic_cases(
            self.run, max(1, shape.applications // shape.per_person)
        )
        self._submitted = from_ms(now_ms)
        self._decide_by = from_ms(now_ms + DECIDE_WITHIN_MS)

    @property
    def limits_fen(self) -> dict[str, int]:
        """The most each person may be promised: the limit of the offer, nothing without one."""
        return {
            case.application.applicant_token: case.entry.limit_fen if case.entry else 0
            for case in self.people
        }

    def records(self) -> Iterator[Sent]:
        """Every record in the order of sending; the same for the same seed but for instants."""
        rng, shape = Random(self.shape.seed), self.shape
        waiting: list[tuple[int, int, Sent]] = []
        count = itertools.count()
        for number in range(shape.applications):
            while waiting and waiting[0][0] <= number:
                yield heapq.heappop(waiting)[2]
            application = self._application(number, rng)
            scattered = rng.random() < shape.scattered
            first = _sent(next(count), application, scattered)
            yield first
            copies = shape.copies - 1 + (rng.random() < shape.repeats)
            for _ in range(copies):
                at = number + 1 + rng.randrange(REPEAT_WITHIN)
                again = _sent(next(count), application, scattered)
                heapq.heappush(waiting, (at, next(count), again))
            if rng.random() < shape.conflicts:
                more_fen = application.requested_amount_fen + 100
                other = _sent(
                    next(count), replace(application, requested_amount_fen=more_fen), scattered
                )
                at = number + 1 + rng.randrange(REPEAT_WITHIN)
                heapq.heappush(waiting, (at, next(count), other))
            if rng.random() < shape.malformed:
                yield malformed(next(count), application, rng)
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _application(self, number: int, rng: Random) -> Application:
        person = self.people[number % len(self.people)].application
        share = rng.uniform(0.2, 0.9)
        return replace(
            person,
            application_id=self._id_of(number),
            channel=rng.choice(list(Channel)),
            requested_amount_fen=max(500_000, int(person.requested_amount_fen * share)),
            submitted_at=self._submitted,
            decide_by=self._decide_by,
        )

    def _id_of(self, number: int) -> str:
        return f"{self.run.name}-{number:07d}"

    def foretold(self) -> Iterator[tuple[EventKind, str, str]]:
        """Kind, token and application of what is said before any application is sent."""
        tokens = [case.application.applicant_token for case in self.people]
        for number in range(3, self.shape.applications, FORETOLD_EVERY):
            odd = number // FORETOLD_EVERY % 2
            kind = EventKind.HUMAN_REVIEW_REQUEST if odd else EventKind.CANCEL
            yield kind, tokens[number % len(tokens)], self._id_of(number)
        for token in tokens[5::FORETOLD_EVERY]:
            yield EventKind.CONSENT_REVOKED, token, ""

    def updates(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Whitelist entries of people who do not apply; every fourth is taken back at once."""
        rows = filler_entries(self.run, self.shape.whitelist_updates)
        for number, row in enumerate(rows):
            yield row.key, row.value
            if number % 4 == 3:
                yield row.key, None


def _sent(number: int, application: Application, scattered: bool) -> Sent:
    key = application.applicant_token.encode()
    return Sent(key, encode_application(application), _headers(number, ""), scattered)


def malformed(number: int, application: Application, rng: Random) -> Sent:
    """A spoilt copy under an id of its own, and the dead letter it must become in its header."""
    way = rng.choice(WAYS)
    copy = replace(application, application_id=f"{application.application_id}-bad")
    broken = break_record(way, copy.applicant_token.encode(), encode_application(copy))
    headers = _headers(number, broken.reason)
    if not broken.has_version:
        headers = [(name, value) for name, value in headers if name != "schema_version"]
    return Sent(broken.key, broken.value, headers, False)


def _headers(number: int, fault: str) -> Headers:
    at = from_ms(time.time_ns() // 1_000_000)
    event = cloud_event("loan.application.v1", "/channels/chaos", f"chaos-{number}", at)
    return [*event, (MARK, f"{number}:{fault}".encode())]


class Pacer:
    """Spreads records over the time the faults take, which is known only when they are over."""

    def __init__(self, total: int, seconds: float, progress: Callable[[], float]) -> None:
        """Expect `seconds` until `progress` says how far the faults are (0 to 1)."""
        self._total, self._seconds, self._progress = total, seconds, progress
        self._began = self._last = 0.0
        self._due = 0.0

    def due(self) -> int:
        """Records that should be out by now; time counts from the first asking."""
        now, done = time.monotonic(), self._progress()
        if done >= 1.0:
            return sys.maxsize
        self._began = self._began or now
        elapsed = now - self._began
        left = self._seconds - elapsed if done < 0.03 else elapsed * (1 - done) / done
        rate = max(0.0, self._total * 0.97 - self._due) / max(2.0, left)
        self._due += rate * min(_LAPSE_SECONDS_MAX, now - self._last)
        self._last = now
        return int(self._due)


class Publisher:
    """Sends records from a thread of its own; `acknowledged` holds the numbers the broker has."""

    def __init__(self, bootstrap: str, records: Iterator[Sent], pacer: Pacer | None) -> None:
        """Use two clients: the scattering channel has librdkafka's default partitioner."""
        config = {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            # librdkafka takes a request for written when a later one of the partition is, and
            # Kafka takes any first sequence of a producer: with more in flight, a connection lost
            # at the first two requests has cost the first its record, acknowledged all the same.
            "max.in.flight.requests.per.connection": 1,
            "linger.ms": 5,
            "queue.buffering.max.messages": 200_000,
            "reconnect.backoff.max.ms": 1_000,
        }
        self._right = Producer({**config, "partitioner": PARTITIONER}, logger=QUIET)
        self._wrong = Producer({**config, "partitioner": _LIBRDKAFKA_DEFAULT}, logger=QUIET)
        self._records, self._pacer = records, pacer
        self._stop = Event()
        self.sent = self.acknowledged = 0
        self.failed: list[str] = []
        self._refused: list[Sent] = []
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Wait until all is sent and acknowledged; AssertionError when it is not."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"not all was published within {seconds:.0f} s"
        assert not self.failed, f"not published: {self.failed[0]}"

    def _run(self) -> None:
        try:
            for record in self._records:
                while self._pacer is not None and self.sent >= self._pacer.due():
                    self._poll(0)
                    time.sleep(_TICK_SECONDS)
                self._send(record)
            self._flush()
        except Exception as error:  # noqa: BLE001  (told to whoever waits for the thread)
            self.failed.append(repr(error))

    def _flush(self) -> None:
        """Until the broker has all; what it refused, say of a full disk, is sent again."""
        deadline = time.monotonic() + _FLUSH_SECONDS
        while True:
            left = self._right.flush(_FLUSH_SECONDS) + self._wrong.flush(_FLUSH_SECONDS)
            refused, self._refused = self._refused, []
            if left or (refused and time.monotonic() > deadline):
                self.failed.append(f"{left + len(refused)} records not taken")
                return
            if not refused:
                return
            time.sleep(_AGAIN_SECONDS)
            for record in refused:
                self._send(record)

    def _send(self, record: Sent) -> None:
        def told(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                self.acknowledged += 1
            else:
                self._refused.append(record)

        client = self._wrong if record.scattered else self._right
        while True:
            try:
                client.produce(
                    APPLICATIONS,
                    record.value,
                    record.key,
                    headers=[*record.headers],
                    on_delivery=told,
                )
            except BufferError:
                client.poll(0.1)
            else:
                break
        self.sent += 1
        if self.sent % 100 == 0:
            self._poll(0)

    def _poll(self, seconds: float) -> None:
        self._right.poll(seconds)
        self._wrong.poll(seconds)


class Updates:
    """Whitelist updates and tombstones beside everything else."""

    def __init__(self, bootstrap: str, workload: Workload, pacer: Pacer) -> None:
        self._client = Producer(
            {"bootstrap.servers": bootstrap, "partitioner": PARTITIONER, "linger.ms": 20},
            logger=QUIET,
        )
        self._workload, self._pacer = workload, pacer
        self.sent = 0
        self._thread = Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Wait until all is out."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "whitelist updates were not sent in time"

    def _run(self) -> None:
        run = self._workload.run
        headers = cloud_event("whitelist.entry.v1", "/screening/chaos", run.name,
                              from_ms(run.now_ms))  # fmt: skip
        for key, value in self._workload.updates():
            while self.sent >= self._pacer.due():
                self._client.poll(0)
                time.sleep(_TICK_SECONDS)
            self._client.produce(WHITELIST, value, key, headers=[*headers])
            self.sent += 1
            if self.sent % 500 == 0:
                self._client.poll(0)
        self._client.flush(120)
