"""The funnel worker: applications, decisions and outcomes in, counts out on `loan.funnel`.

Faust acknowledges a record even when its handler raised, and commits past a
record still in flight when an agent runs concurrently. Hence: bytes are decoded
here, every record has its own try, agents run one at a time, and a record
processed twice changes nothing. Table updates of a record are sent to the
changelog before the record's offset is committed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import faust
import msgspec

from stream.codec.application_v1 import check_envelope, decode_application
from stream.codec.decision_v1 import decode_decision
from stream.codec.headers import cloud_event
from stream.codec.keys import partition_of
from stream.config import Settings
from stream.domain.instant import from_ms
from stream.domain.outcome import LoanOutcome
from stream.domain.topics import APPLICATIONS, DECISIONS, FUNNEL, OUTCOMES
from stream.errors import ConfigError, PoisonError
from stream.loop import topics
from stream.loop.funnel import (
    Fact,
    Tally,
    advance,
    decode_progress,
    encode_progress,
    fact_of_application,
    fact_of_decision,
    fact_of_outcome,
)
from stream.loop.transport import ReadCommittedTransport
from stream.obs.logs import configure_logs

PUBLISH_SECONDS = 1.0
SESSION_SECONDS = 10.0
_outcome = msgspec.json.Decoder(LoanOutcome)
Reader = Callable[[Any], Fact | None]


def read_application(message: Any) -> Fact | None:  # noqa: ANN401
    """The fact in a record of `loan.applications`; PoisonError as the engine would raise it."""
    application = decode_application(message.value or b"")
    headers = message.headers or ()
    check_envelope(application, message.key, list(getattr(headers, "items", lambda: headers)()))
    return fact_of_application(application)


def read_decision(message: Any) -> Fact | None:  # noqa: ANN401
    """The fact in a record of `disbursement.decisions`."""
    return fact_of_decision(decode_decision(message.value or b""))


def read_outcome(message: Any) -> Fact | None:  # noqa: ANN401
    """The fact in a record of `loan.outcomes`."""
    return fact_of_outcome(_outcome.decode(message.value or b""))


READERS: dict[str, Reader] = {
    APPLICATIONS: read_application,
    DECISIONS: read_decision,
    OUTCOMES: read_outcome,
}


class FunnelWorker:
    """One Faust app with its table of progress and its tally of counts."""

    def __init__(self, settings: Settings, partitions: int) -> None:
        """Declare agents, table and timer; nothing connects before the app starts."""
        self.app = _app(settings)
        self._partitions = partitions
        self._log = configure_logs("loop", as_json=settings.log_json)
        self.broken: Counter[str] = Counter()
        self._stale = True
        self._tally = Tally()
        schema: Any = faust.Schema(
            key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        self._progress = self.app.Table(
            "progress", partitions=partitions, key_type=bytes, value_type=bytes, schema=schema
        )
        for name, reader in READERS.items():
            self._add_agent(name, reader, partitions)
        self._funnel = self._raw_topic(FUNNEL, None)
        self.app.timer(PUBLISH_SECONDS, name="publish")(self._publish)
        self.app.on_partitions_assigned.connect(self._on_assigned)
        self.app.on_partitions_revoked.connect(self._on_assigned)

    def _raw_topic(self, name: str, partitions: int | None) -> Any:  # noqa: ANN401
        return self.app.topic(
            name, partitions=partitions, key_type=bytes, value_type=bytes,
            key_serializer="raw", value_serializer="raw",
        )  # fmt: skip

    def _add_agent(self, name: str, reader: Reader, partitions: int) -> None:
        async def take(stream: Any) -> None:  # noqa: ANN401
            async for event in stream.events():
                self._take(reader, event.message)

        agent_name = f"funnel.{name}"
        self.app.agent(self._raw_topic(name, partitions), name=agent_name, concurrency=1)(take)

    def _take(self, reader: Reader, message: Any) -> None:  # noqa: ANN401
        """Count one record; one that cannot be read is counted as broken and passed over."""
        if self._is_stray(message):
            return
        try:
            fact = reader(message)
            if fact is not None:
                self._apply(fact, message.partition)
        except PoisonError as error:
            self._pass_over(message, error.reason)
        except msgspec.MsgspecError:
            self._pass_over(message, "unreadable")
        except Exception as error:  # noqa: BLE001  Faust would drop it and restart the agent
            self._pass_over(message, type(error).__name__)

    def _is_stray(self, message: Any) -> bool:  # noqa: ANN401
        """Whether the engine sends this application on; it counts where it is decided."""
        if message.topic != APPLICATIONS or message.key is None:
            return False
        return bool(partition_of(message.key, self._partitions) != message.partition)

    def _apply(self, fact: Fact, partition: int) -> None:
        # Two applicants who use one id meet in two partitions and are two applications.
        key = f"{partition}|{fact.application_id}".encode()
        value = self._progress.get(key)
        before = None if value is None else decode_progress(value)
        after = advance(before, fact, partition)
        if before != after:
            self._progress[key] = encode_progress(after)
            self._tally.move(before, after)

    def _pass_over(self, message: Any, reason: str) -> None:  # noqa: ANN401
        self.broken[message.topic] += 1
        self._log.info(
            "record_passed_over",
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            reason=reason,
        )

    async def _on_assigned(self, *_: object, **__: object) -> None:
        self._stale = True

    async def _publish(self) -> None:
        """Publish the rows that changed; after a change of partitions, count all of them anew."""
        if self.app.rebalancing or self.app.tables.recovery.in_recovery:
            return
        if self._stale:
            self._count_anew()
        for row in self._tally.take_changed():
            key = f"{row.partition}|{row.channel}|{row.segment}"
            headers = cloud_event(
                "loan.funnel.v1", "/loop", key, from_ms(time.time_ns() // 1_000_000)
            )
            value = msgspec.json.encode(row)
            await self._funnel.send(key=key.encode(), value=value, headers=headers)

    def _count_anew(self) -> None:
        held = {tp.partition for tp in self.app.consumer.assignment()}
        known = map(decode_progress, self._progress.values())
        self._tally = Tally(progress for progress in known if progress.partition in held)
        self._stale = False


def run_loop(settings: Settings) -> None:
    """Run until SIGTERM or Ctrl-C; FatalError says what keeps the worker from starting."""
    partitions = topics.prepare(settings)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    worker = FunnelWorker(settings, partitions)
    faust.Worker(
        worker.app, override_logging=False, redirect_stdouts=False, quiet=True
    ).execute_from_commandline()


def _app(settings: Settings) -> Any:  # noqa: ANN401
    secured = [name for name in settings.kafka if name.startswith(("security.", "sasl.", "ssl."))]
    if secured:
        raise ConfigError(
            f"kafka.{secured[0]}: the loop connects without encryption only",
            fix="run the loop beside a plaintext listener, or leave it out",
        )
    servers = [f"kafka://{server.strip()}" for server in settings.bootstrap.split(",")]
    app = faust.App(
        topics.LOOP_GROUP,
        broker=";".join(servers),
        datadir=settings.state_dir / "loop",
        store="memory://",
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=SESSION_SECONDS / 5,
        stream_wait_empty=False,
    )
    app.transport = ReadCommittedTransport(app.conf.broker_consumer, app)
    return app
