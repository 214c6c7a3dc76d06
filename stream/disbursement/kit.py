"""Pay every approval once, whatever is repeated and whenever this process dies.

For each batch of `disbursement.decisions`, read with `read_committed` so that
an aborted decision is never seen:

1. poll;
2. pay: one transaction in the payment ledger, where `decision_id` is unique;
3. announce: publish a `disbursed` outcome for every payment not yet announced,
   wait for the broker, then mark them;
4. commit the offsets.

A crash before 2 reads the batch again; after 2 the payments stand, and 3 is done
again with the same bytes and the same `outcome_id`; after 3 the batch is read
again and pays nothing. So money moves once and its outcome is announced at
least once, with an id that makes the repeat harmless.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from stream.codec.decision_v1 import decode_decision
from stream.codec.headers import cloud_event
from stream.disbursement.ledger import Payment, PaymentLedger
from stream.domain.decision import Decision, Outcome
from stream.domain.instant import from_ms
from stream.domain.outcome import LoanOutcome, OutcomeEvent
from stream.domain.topics import DECISIONS, OUTCOMES
from stream.errors import BrokerError, FatalError

POLL_MS = 200
"""Longest the loop looks away from its stop sign, so that it ends well within two seconds."""

POLL_RECORDS_MAX = 500
ANNOUNCE_SECONDS_MAX = 30.0
CLOSE_MS_MAX = 1_000

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class KitSettings:
    """Where to read, and where the payment ledger is kept."""

    bootstrap: str
    state_dir: Path = Path(".tenminute/disbursement")
    group_id: str = "tenminute-disbursement"
    decisions_topic: str = DECISIONS
    outcomes_topic: str = OUTCOMES

    @property
    def ledger_file(self) -> Path:
        """The SQLite file of payments."""
        return self.state_dir / "payments.sqlite"


class Totals(NamedTuple):
    """Counts since the loop began; `repeats` are approvals that had been paid before."""

    decisions: int = 0
    approvals: int = 0
    paid: int = 0
    paid_fen: int = 0
    repeats: int = 0


Progress = Callable[[Totals], None]
METADATA_SECONDS_MAX = 15.0


def disbursed(decision: Decision, now_ms: int) -> LoanOutcome:
    """The outcome that announces the payment of an approval; its id follows from the decision's."""
    digest = hashlib.sha256(b"disbursed/1/" + decision.decision_id.encode()).hexdigest()
    return LoanOutcome(
        outcome_id=f"o_{digest[:32]}",
        event=OutcomeEvent.DISBURSED,
        application_id=decision.application_id,
        decision_id=decision.decision_id,
        applicant_token=decision.applicant_token,
        channel=decision.channel,
        segment=decision.segment,
        amount_fen=decision.approved_amount_fen,
        occurred_at=from_ms(now_ms),
    )


def run_kit(settings: KitSettings, stop: Event, progress: Progress | None = None) -> Totals:
    """Pay approvals until `stop` is set; `progress` hears the totals after every batch."""
    totals = Totals()
    try:
        with PaymentLedger(settings.ledger_file) as ledger, Kit(settings, ledger) as kit:
            kit.announce()
            while not stop.is_set():
                totals = kit.one_batch(totals)
                if progress is not None:
                    progress(totals)
    except KafkaError as error:
        raise BrokerError(
            f"{settings.bootstrap}: {type(error).__name__}: {error}",
            fix="check the broker with `tenminute doctor`; nothing is paid twice on a restart",
        ) from error
    return totals


class Kit:
    """Both clients and the ledger; closing it leaves the group at once."""

    def __init__(self, settings: KitSettings, ledger: PaymentLedger) -> None:
        self._ledger = ledger
        self._outcomes_topic = settings.outcomes_topic
        self._producer = _producer(settings)
        self._consumer = _consumer(settings)

    def __enter__(self) -> Self:
        """Return the connected kit."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the group without committing anything, and close both clients."""
        self._consumer.close(autocommit=False, timeout_ms=CLOSE_MS_MAX)
        self._producer.close(timeout=CLOSE_MS_MAX / 1_000)

    def one_batch(self, totals: Totals) -> Totals:
        """Do steps 1 to 4 for one poll and return the new totals."""
        polled = self._consumer.poll(timeout_ms=POLL_MS, max_records=POLL_RECORDS_MAX)
        decisions = [_decode(record) for records in polled.values() for record in records]
        if not decisions:
            return totals
        approvals = [decision for decision in decisions if decision.outcome is Outcome.APPROVE]
        now_ms = time.time_ns() // 1_000_000
        paid, paid_fen = self._ledger.pay([_payment(decision, now_ms) for decision in approvals])
        self.announce()
        self._consumer.commit()
        return Totals(
            decisions=totals.decisions + len(decisions),
            approvals=totals.approvals + len(approvals),
            paid=totals.paid + paid,
            paid_fen=totals.paid_fen + paid_fen,
            repeats=totals.repeats + len(approvals) - paid,
        )

    def announce(self) -> None:
        """Do step 3: publish what is not yet announced, and mark it once the broker has it."""
        waiting = self._ledger.unannounced()
        if not waiting:
            return
        sent = [
            self._producer.send(
                self._outcomes_topic,
                value=payment.outcome,
                key=payment.applicant_key,
                headers=_headers(payment),
            )
            for payment in waiting
        ]
        for future in sent:
            future.get(timeout=ANNOUNCE_SECONDS_MAX)
        self._ledger.announced(waiting)


def _decode(record: Any) -> Decision:  # noqa: ANN401  (untyped client)
    try:
        return decode_decision(record.value or b"")
    except msgspec.DecodeError:
        where = f"{record.topic}/{record.partition}/{record.offset}"
        raise FatalError(
            f"{where}: not a decision of schema version 1",
            fix="compare it with schemas/, then move the group's offset past it on purpose",
        ) from None


def _payment(decision: Decision, now_ms: int) -> Payment:
    return Payment(
        decision_id=decision.decision_id,
        amount_fen=decision.approved_amount_fen,
        applicant_key=decision.applicant_token.encode(),
        outcome=_encoder.encode(disbursed(decision, now_ms)),
    )


def _headers(payment: Payment) -> list[tuple[str, bytes]]:
    outcome = msgspec.json.decode(payment.outcome, type=LoanOutcome)
    return cloud_event("loan.outcome.v1", "/disbursement", outcome.outcome_id, outcome.occurred_at)


def _consumer(settings: KitSettings) -> Any:  # noqa: ANN401  (untyped client)
    client = KafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        group_id=settings.group_id,
        isolation_level="read_committed",
        enable_auto_commit=False,
        # Every decision counts: a group seen for the first time starts at the beginning.
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
    )
    # A member that joins before it knows the topic's partitions is given none, and stays so.
    deadline = time.monotonic() + METADATA_SECONDS_MAX
    while not client.partitions_for_topic(settings.decisions_topic):
        if time.monotonic() > deadline:
            client.close(autocommit=False)
            raise BrokerError(
                f"no topic {settings.decisions_topic}", fix="run: tenminute topics apply"
            )
        time.sleep(0.05)
    client.subscribe([settings.decisions_topic])
    return client


def _producer(settings: KitSettings) -> Any:  # noqa: ANN401  (untyped client)
    """The default partitioner is murmur2, so an outcome lands in its decision's partition."""
    return KafkaProducer(
        bootstrap_servers=settings.bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=5,
    )
