"""People who answer referrals: once, twice the same, or twice and not the same."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from builders import HEADERS
from simulation.broker import Broker
from simulation.ledgers import decoded

from stream.domain.decision import Decision, Outcome
from stream.domain.topics import DECISIONS, REVIEWS
from stream.ports import Output, Place

ANSWERED_AT = "2026-11-24T08:00:30Z"


class Reviewer:
    """Reads committed referrals and answers one now and then."""

    def __init__(self, broker: Broker) -> None:
        self._broker, self._random = broker, broker.kernel.random
        self._answers = 0

    def answer(self) -> Iterator[Output]:
        """Answers to one referral, if there is any."""
        partition = self._random.randrange(self._broker.partitions)
        log = self._broker.logs[Place(DECISIONS, partition)]
        found = [decoded(entry.output.value) for _, entry in log.committed()]
        referrals = [d for d in found if d.outcome is Outcome.REFER and d.review is None]
        if not referrals:
            return
        decision = self._random.choice(referrals)
        answer = self._output(decision, partition)
        yield answer
        if self._random.random() < 0.3:
            yield answer
        if self._random.random() < 0.2:
            yield self._output(decision, partition)

    def _output(self, decision: Decision, partition: int) -> Output:
        self._answers += 1
        approves = self._random.random() < 0.7
        value = msgspec.json.encode(
            {
                "review_id": f"review-{self._answers:06d}",
                "decision_id": decision.decision_id,
                "application_id": decision.application_id,
                "applicant_token": decision.applicant_token,
                "answer": "approve" if approves else "decline",
                "approved_amount_fen": decision.requested_amount_fen if approves else 0,
                "reviewer_id": "reviewer-01",
                "answered_at": ANSWERED_AT,
            }
        )
        key = decision.applicant_token.encode()
        return Output(REVIEWS, partition, key, value, HEADERS)
