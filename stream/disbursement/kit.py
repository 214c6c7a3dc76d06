"""Pay every approval once, whatever is repeated and whenever this process dies.

For each batch of `disbursement.decisions`, read with `read_committed` so that
an aborted decision is never seen:

1. poll;
2. pay: one transaction in the payment ledger, where `decision_id` and the
   application are unique: a second-stage decision on a paid loan is no second loan;
3. announce: publish a `disbursed` outcome for every payment not yet announced,
   wait for the broker, then mark them;
4. commit the offsets.

A crash before 2 reads the batch again; after 2 the payments stand, and 3 is done
again with the same bytes and the same `outcome_id`; after 3 the batch is read
again and pays nothing. So money moves once and its outcome is announced at
least once, with an id that makes the repeat harmless.

Paid is an `approve` whose offer has not ended. A referral is a person's to
decide; an outcome this kit does not know is set aside, never guessed. Headers
are not read, so nothing in them can stop a payment.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import NamedTuple, Self

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from stream.codec.headers import cloud_event
from stream.config import Settings, load_settings
from stream.disbursement.ledger import Payment, PaymentLedger
from stream.disbursement.order import Order, Verdict, decode_order
from stream.domain.outcome import LoanOutcome, OutcomeEvent, outcome_of
from stream.domain.topics import DECISIONS, OUTCOMES
from stream.edge.clients import consumer, producer
from stream.errors import BrokerError, FatalError

POLL_SECONDS = 0.2
"""Longest the loop looks away from its stop sign, so that it ends well within two seconds."""

POLL_RECORDS_MAX = 500
ANNOUNCE_SECONDS_MAX = 30.0
GROUP_MOVED_ON = frozenset(
    (
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError._STATE,  # nothing is assigned to us any more
    )
)
"""A commit refused so leaves the batch to the partition's next owner, who pays none of it again."""

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
    expired: int = 0
    unknown: int = 0


Progress = Callable[[Totals], None]


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
    except KafkaException as error:
        raise BrokerError(
            f"{settings.bootstrap}: {error.args[0].name()}",
            fix="check the broker with `tenminute doctor`; nothing is paid twice on a restart",
        ) from error
    return totals


class Kit:
    """Both clients and the ledger; closing it leaves the group at once."""

    def __init__(self, settings: KitSettings, ledger: PaymentLedger) -> None:
        self._ledger = ledger
        self._decisions_topic = settings.decisions_topic
        self._outcomes_topic = settings.outcomes_topic
        kafka: Settings = load_settings(bootstrap=settings.bootstrap)
        self._producer = producer(kafka)
        # Every decision counts: a group seen for the first time starts at the beginning.
        self._consumer = consumer(kafka, settings.group_id, **{"auto.offset.reset": "earliest"})
        self._consumer.subscribe([settings.decisions_topic])

    def __enter__(self) -> Self:
        """Return the connected kit."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the group without committing anything."""
        self._consumer.close()

    def one_batch(self, totals: Totals) -> Totals:
        """Do steps 1 to 4 for one poll and return the new totals."""
        messages = self._poll()
        if not messages:
            return totals
        now_ms = time.time_ns() // 1_000_000
        orders = [_order(message, now_ms) for message in messages]
        to_pay = [order for order, verdict in orders if verdict is Verdict.PAY]
        paid, paid_fen = self._ledger.pay([_payment(order, now_ms) for order in to_pay])
        self.announce()
        self._commit(messages)
        count = Counter(verdict for _, verdict in orders)
        return Totals(
            decisions=totals.decisions + len(orders),
            approvals=totals.approvals + count[Verdict.PAY] + count[Verdict.EXPIRED],
            paid=totals.paid + paid,
            paid_fen=totals.paid_fen + paid_fen,
            repeats=totals.repeats + len(to_pay) - paid,
            expired=totals.expired + count[Verdict.EXPIRED],
            unknown=totals.unknown + count[Verdict.UNKNOWN],
        )

    def announce(self) -> None:
        """Do step 3: publish what is not yet announced, and mark it once the broker has it."""
        waiting = self._ledger.unannounced()
        faults: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                faults.append(error)

        for payment in waiting:
            self._producer.produce(
                self._outcomes_topic,
                payment.outcome,
                payment.applicant_key,
                headers=[*_headers(payment)],
                on_delivery=delivered,
            )
        if self._producer.flush(ANNOUNCE_SECONDS_MAX):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        if faults:
            raise KafkaException(faults[0])
        self._ledger.announced(waiting)

    def _poll(self) -> list[Message]:
        """What has arrived; waits for the first record only."""
        first = self._consumer.poll(POLL_SECONDS)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(POLL_RECORDS_MAX - 1, 0)]
        for message in messages:
            error = message.error()
            if error is not None:
                raise KafkaException(error)
        return messages

    def _commit(self, messages: Sequence[Message]) -> None:
        ends = {message.partition(): (message.offset() or 0) + 1 for message in messages}
        positions = [
            TopicPartition(self._decisions_topic, partition or 0, end)
            for partition, end in ends.items()
        ]
        try:
            self._consumer.commit(offsets=positions, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() not in GROUP_MOVED_ON:
                raise


def _order(message: Message, now_ms: int) -> tuple[Order, Verdict]:
    try:
        order = decode_order(message.value() or b"")
        return order, order.verdict(now_ms)
    except ValueError:  # msgspec's errors are ValueErrors too
        where = f"{message.topic()}/{message.partition()}/{message.offset()}"
        raise FatalError(
            f"{where}: not a decision of schema version 1",
            fix="compare it with schemas/, then move the group's offset past it on purpose",
        ) from None


def _payment(order: Order, now_ms: int) -> Payment:
    return Payment(
        decision_id=order.decision_id,
        amount_fen=order.approved_amount_fen,
        applicant_key=order.applicant_token.encode(),
        outcome=_encoder.encode(outcome_of(order, OutcomeEvent.DISBURSED, now_ms)),
    )


def _headers(payment: Payment) -> list[tuple[str, bytes]]:
    outcome = msgspec.json.decode(payment.outcome, type=LoanOutcome)
    return cloud_event("loan.outcome.v1", "/disbursement", outcome.outcome_id, outcome.occurred_at)
