"""A real worker behind the fault proxy.

The worker is the engine's own loop on the engine's own Kafka ports; only the store is a stand-in
(nobody is on the whitelist) and the time a commit may take is the test's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

import structlog

from stream.config import Settings
from stream.domain.control import Switches
from stream.edge.inbox import KafkaInbox
from stream.edge.lane import ThreadLane
from stream.edge.onnx_scorer import load_models
from stream.edge.outlet import KafkaOutlet
from stream.edge.restore import KafkaLedgers
from stream.edge.signals import Stop
from stream.edge.snapshots import Snapshots
from stream.edge.world import SystemClock
from stream.errors import BrokerError, TenMinuteError, TransactionError
from stream.pipeline import Pipeline
from stream.policy.load import load_policy
from stream.worker import Worker
from stream.world import World

READY_SECONDS = 90.0


class NobodyListed:
    """A store that is fresh and knows nobody: every application is answered without a score."""

    @contextmanager
    def reading(self) -> Iterator[Self]:
        """The view of a batch."""
        yield self

    @property
    def fresh_at_ms(self) -> int:
        """Now."""
        return time.time_ns() // 1_000_000

    def whitelist(self, _token: str) -> None:
        """Nobody has an offer."""

    def bureau(self, _token: str) -> None:
        """Nobody is known."""


class Heard(NamedTuple):
    """What the loop did about a failure, and when; the error itself would hold producers."""

    at: float
    remedy: str
    cause: str


class Listening:
    """A watcher that keeps failures and the times of commits and passes over the rest."""

    def __init__(self) -> None:
        self.failures: list[Heard] = []
        self.retries: list[Heard] = []
        self.deaths: list[Heard] = []
        self.commits: list[float] = []
        self.assigned_once = threading.Event()

    def failed(self, error: TransactionError) -> None:
        """Keep what it asks for."""
        self.failures.append(Heard(time.monotonic(), str(error.remedy), error.cause))

    def still_failing(self, error: TenMinuteError) -> None:
        """Keep what it says."""
        self.retries.append(Heard(time.monotonic(), "again", str(error)))

    def died(self, error: BrokerError) -> None:
        """Keep what it says."""
        self.deaths.append(Heard(time.monotonic(), "leave", str(error)))

    def committed(self, _batch: object) -> None:
        """Keep the time."""
        self.commits.append(time.monotonic())

    def assigned(self, _ledgers: object) -> None:
        """Ready."""
        self.assigned_once.set()

    def __getattr__(self, _name: str) -> Any:
        """Everything else is passed over."""
        return lambda *_, **__: None


class ShortOutlets:
    """The engine's producers, with a commit that may take as long as the test says."""

    def __init__(self, settings: Settings, worker_id: str, commit_seconds: float) -> None:
        self._settings, self._id, self._seconds = settings, worker_id, commit_seconds

    def open(self, slot: int) -> KafkaOutlet:
        """As the engine opens it."""
        return KafkaOutlet(self._settings, f"{self._id}-{slot}", self._seconds)


class RunningWorker:
    """A worker in a thread; leaving the context stops it and raises what it raised."""

    def __init__(self, settings: Settings, index: int, commit_seconds: float) -> None:
        """Prepare it; entering the context starts it."""
        self.heard = Listening()
        self.error: BaseException | None = None
        self._settings, self._index, self._seconds = settings, index, commit_seconds
        self._stop = Stop()
        self._thread = threading.Thread(target=self._run, name=f"worker-{index}", daemon=True)

    def _run(self) -> None:
        while not self._stop.is_set() and self.error is None:
            try:
                self._worker().run()
            except BrokerError as error:  # the process ends, and the supervisor starts another
                self.heard.died(error)
            except BaseException as error:  # noqa: BLE001  (handed to the test by __exit__)
                self.error = error

    def _worker(self) -> Worker:
        settings = self._settings
        name = f"{settings.group_id}-{settings.instance}-{self._index}"
        clock = SystemClock(self._stop)
        log = structlog.get_logger()
        snapshots = Snapshots(settings.state_dir, "", settings.group_id, settings.partitions, log)
        policy = load_policy(settings.policy_file)
        models = policy.models
        pipeline = Pipeline(load_models(settings.models_dir, models), policy)
        switches = Switches()
        world = World(
            inbox=KafkaInbox(settings, name),
            outlets=ShortOutlets(settings, name, self._seconds),
            ledgers=KafkaLedgers(settings, snapshots, clock),
            lane=ThreadLane(self._seconds, clock.left),
            store=NobodyListed(),
            clock=clock,
            watcher=self.heard,
            switches=lambda: switches,
        )
        return Worker(
            world,
            pipeline,
            partitions=settings.partitions,
            batch_records=settings.batch_records,
            stopping=self._stop.is_set,
        )

    def __enter__(self) -> Self:
        """Start, and wait until it has partitions."""
        self._thread.start()
        ready = self.heard.assigned_once.wait(READY_SECONDS)
        if self.error is not None:
            raise self.error
        assert ready, "the worker was given no partitions"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self._stop.set()
        self._thread.join(READY_SECONDS)
        if error is None and self.error is not None:
            raise self.error
