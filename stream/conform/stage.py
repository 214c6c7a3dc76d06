"""Plays decisions with real transactions, and knows what was played and when."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

from confluent_kafka import KafkaException, Producer

from stream.config import Settings
from stream.conform.cast import Case, Cast
from stream.conform.watch import Watcher
from stream.edge.clients import transactional_producer
from stream.errors import BrokerError, ConfigError

STEP_SECONDS_MAX = 20.0
RESTART_SECONDS_MAX = 120.0
STALLED_SECONDS = 5.0
"""Once a consumer has stood still for the whole time-out, how long later waits go on."""

FEED_CASES = 10
FEED_SECONDS = 0.05
FEED_CASES_MAX = 5_000

Pause = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a series is played; `restart_command` None means a person is asked to do it."""

    decisions_topic: str
    outcomes_topic: str
    timeout_seconds: float = 90.0
    burst: int = 1_000
    open_seconds: float = 3.0
    settle_seconds: float = 5.0
    restart_command: str | None = None


@dataclass
class Played:
    """What went out."""

    cases: list[Case] = field(default_factory=list)
    committed_at: dict[str, float] = field(default_factory=dict)
    early: set[str] = field(default_factory=set)
    """Decisions paid while their transaction was still open."""


class Stage:
    """Two transactional producers, the outcomes so far, and the team at the other end."""

    def __init__(
        self, settings: Settings, plan: Plan, cast: Cast, watcher: Watcher, pause: Pause
    ) -> None:
        """`pause` says a line and returns once the person at the terminal has done it."""
        self.plan = plan
        self.cast = cast
        self.played = Played()
        self._watcher = watcher
        self._pause = pause
        self._stalled = False
        self._given_up: set[str] = set()
        self._main = _opened(settings, f"conform-{cast.run}-0")
        self._other = _opened(settings, f"conform-{cast.run}-1")

    def commit(self, cases: Sequence[Case], *, at_ms: int = 0) -> None:
        """One transaction with all of them; `at_ms` sets the records' timestamp."""
        with _transaction():
            self._main.begin_transaction()
            self._send(self._main, cases, at_ms)
            self._main.commit_transaction(STEP_SECONDS_MAX)
        self._note(cases)

    def abort(self, cases: Sequence[Case]) -> None:
        """Write all of them to the log, long enough to be read, and take them back."""
        with _transaction():
            self._main.begin_transaction()
            self._send(self._main, cases)
            time.sleep(1.0)
            self._main.abort_transaction(STEP_SECONDS_MAX)
        self.played.cases.extend(cases)

    def hold_open(self, held: Sequence[Case], behind: Sequence[Case]) -> None:
        """Keep a transaction open while another commits `behind` it, then commit it too."""
        with _transaction():
            self._other.begin_transaction()
            self._send(self._other, held)
            self.commit(behind)
            time.sleep(self.plan.open_seconds)
            self.played.early = self._watcher.paid() & {each.decision_id for each in held}
            self._other.commit_transaction(STEP_SECONDS_MAX)
        self._note(held)

    def await_paid(self, cases: Iterable[Case] | None = None, *, every: bool = True) -> bool:
        """Wait for the payment of these, or of all played; False when the consumer stands still."""
        cases = self.played.cases if cases is None else cases
        owed = {each.decision_id for each in cases if each.pay_fen is not None}
        wanted = owed - self._given_up
        idle = STALLED_SECONDS if self._stalled else self.plan.timeout_seconds
        came = self._watcher.wait(wanted, min(idle, self.plan.timeout_seconds), every=every)
        self._stalled = not came
        if not came:
            self._given_up |= wanted - self._watcher.paid()
        return came

    def restart(self, moment: str) -> None:
        """Have the consumer killed and started again."""
        command = self.plan.restart_command
        if command is None:
            self._pause(f"{moment}: kill your consumer (kill -9) and start it again")
            return
        try:
            subprocess.run(  # noqa: S602  the operator's own command line
                command,
                shell=True,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                timeout=RESTART_SECONDS_MAX,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise ConfigError(
                f"the restart command did not do its work: {type(error).__name__}",
                fix="it must kill the consumer, start it in the background and exit with 0",
            ) from None

    @contextmanager
    def feeding(self, rule: str) -> Iterator[None]:
        """Keep small transactions of approvals coming for as long as the context lasts."""
        stop = Event()
        faults: list[BrokerError] = []

        def feed() -> None:
            try:
                for _ in range(FEED_CASES_MAX // FEED_CASES):
                    self.commit(self.cast.approvals(rule, FEED_CASES))
                    if stop.wait(FEED_SECONDS):
                        return
            except BrokerError as error:
                faults.append(error)

        thread = Thread(target=feed, name="feeder")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if faults:
            raise faults[0]

    def _send(self, client: Producer, cases: Sequence[Case], at_ms: int = 0) -> None:
        for case in cases:
            client.produce(
                self.plan.decisions_topic,
                case.value,
                case.key,
                headers=case.all_headers(),
                timestamp=at_ms,
            )
            client.poll(0)
        client.flush(STEP_SECONDS_MAX)

    def _note(self, cases: Sequence[Case]) -> None:
        now = time.monotonic()
        for case in cases:
            if case.decision_id not in self.played.committed_at:
                self.played.cases.append(case)
                self.played.committed_at[case.decision_id] = now


def _opened(settings: Settings, name: str) -> Producer:
    client = transactional_producer(settings, name)
    with _transaction():
        client.init_transactions(STEP_SECONDS_MAX)
    return client


@contextmanager
def _transaction() -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise BrokerError(
            f"the series could not be played: {error.args[0].name()}",
            fix="check the broker with `tenminute doctor`, then run the command again",
        ) from error
