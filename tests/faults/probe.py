"""What librdkafka makes of an error code in the answer to each transactional request.

One case: a transaction through the proxy, one answer replaced by an error the broker did not
give. Seen are the calls of the client that raised, with the marks librdkafka put on the error.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import NamedTuple
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from faults.proxy import FaultProxy
from faults.rules import Action, once
from faults.wire import Api

TOPIC = "outreach.contacts"  # one that no engine on this broker reads
INPUT = "loan.applications"
STEP_SECONDS = 4.0
QUIET = logging.getLogger("faults.probe")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


class Seen(NamedTuple):
    """How one case ended: the step that raised, and the error with its marks."""

    step: str
    error: str
    abortable: bool
    fatal: bool
    retriable: bool
    delivery: str
    after_abort: str
    broke: bool
    seconds: float
    calls: int


class Probe:
    """Transactions of one group's consumer, each by a producer of its own."""

    def __init__(self, proxy: FaultProxy) -> None:
        """Join the group once; every case shares it."""
        self._proxy = proxy
        self._consumer = Consumer(
            {
                "bootstrap.servers": proxy.bootstrap,
                "group.id": f"probe-{uuid4().hex[:8]}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            },
            logger=QUIET,
        )
        self._consumer.subscribe([INPUT])
        while not self._consumer.assignment():
            self.poll()

    def poll(self) -> None:
        """Give the group a moment."""
        self._consumer.poll(0.1)

    def look_up(self) -> None:
        """Ask what the group has committed."""
        self._consumer.committed([TopicPartition(INPUT, 0)], timeout=10)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def case(self, api: Api, action: Action) -> Seen:
        """Run one transaction in which `action` befalls the first call of `api`.

        Where librdkafka then asks for an abort, abort and run a second one on the same producer.
        """
        self._consumer.poll(0)
        told: list[str] = []
        deliveries: list[str] = []
        producer = self._producer(told)
        if api is not Api.INIT_PRODUCER_ID:
            producer.init_transactions(STEP_SECONDS)
        rule = self._proxy.on(api, action, once())
        began = time.monotonic()
        step, error = self._attempt(producer, deliveries, first=api is Api.INIT_PRODUCER_ID)
        seconds = time.monotonic() - began
        self._proxy.clear()
        after = "-"
        if error is not None and error.txn_requires_abort():
            after = self._abort_and_go_on(producer)
        with suppress(KafkaException):  # a fatal error is raised here a second time
            producer.poll(0)
        return Seen(
            step,
            error.name() if error else "",
            bool(error and error.txn_requires_abort()),
            bool(error and error.fatal()),
            bool(error and error.retriable()),
            ",".join(deliveries) or "none",
            after,
            any(line.startswith("FAIL") for line in told),
            round(seconds, 2),
            rule.seen,
        )

    def _producer(self, told: list[str]) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self._proxy.bootstrap,
                "transactional.id": f"probe-{uuid4().hex}",
                "transaction.timeout.ms": 20_000,
                "max.in.flight.requests.per.connection": 1,
                "retry.backoff.ms": 1,
                "linger.ms": 0,
            },
            logger=_listening(told),
        )

    def _attempt(
        self, producer: Producer, deliveries: list[str], *, first: bool
    ) -> tuple[str, KafkaError | None]:
        """One transaction; the step that raised and what it raised, if any did."""

        def delivered(fault: KafkaError | None, _: object) -> None:
            deliveries.append(fault.name() if fault else "ok")

        step = "init"
        try:
            if first:
                producer.init_transactions(STEP_SECONDS)
            step = "begin"
            producer.begin_transaction()
            step = "produce"
            producer.produce(TOPIC, b"probe", partition=0, on_delivery=delivered)
            step = "flush"
            producer.flush(STEP_SECONDS)
            step = "offsets"
            places = [TopicPartition(INPUT, 0, 0)]
            identity = self._consumer.consumer_group_metadata()
            producer.send_offsets_to_transaction(places, identity, STEP_SECONDS)
            step = "commit"
            producer.commit_transaction(STEP_SECONDS)
        except KafkaException as raised:
            return step, raised.args[0]
        return "none", None

    def _abort_and_go_on(self, producer: Producer) -> str:
        try:
            producer.abort_transaction(STEP_SECONDS)
        except KafkaException as raised:
            return f"abort: {raised.args[0].name()}{' fatal' if raised.args[0].fatal() else ''}"
        step, error = self._attempt(producer, [], first=False)
        return "ok" if error is None else f"{step}: {error.name()}"


def _listening(told: list[str]) -> logging.Logger:
    """A logger that keeps librdkafka's lines; a lost connection is one that begins with FAIL."""
    logger = logging.getLogger(f"faults.probe.{uuid4().hex}")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    return logger
