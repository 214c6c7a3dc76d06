"""What else is said during a run: events, reviewers' answers, and offers that change.

Some applications are cancelled, some are to be seen by a person and some people take their
consent back before anything is sent: the engine has committed these events before the first
application comes, so each must be obeyed, whatever breaks in between. Everything else answers
committed decisions as they come, chosen by their application id: of approved ones some are
cancelled or expire, of referred ones some are answered, some of the answers twice, and some
people's offers shrink, grow or are suspended under a new version.
"""

from __future__ import annotations

import time
from threading import Event, Thread
from typing import NamedTuple
from zlib import crc32

import msgspec
from chaos.oracle import Said
from chaos.quiet import QUIET
from chaos.reading import committed, ends, looker
from chaos.workload import Workload
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from stream.codec.decision_v1 import decode_decision
from stream.codec.headers import Headers, cloud_event
from stream.codec.keys import PARTITIONER
from stream.domain.application_event import ApplicationEvent, EventKind
from stream.domain.decision import Decision, Outcome
from stream.domain.instant import from_ms
from stream.domain.review import Answer, ReferralOutcome
from stream.domain.topics import DECISIONS, EVENTS, REVIEWS, WHITELIST
from stream.domain.whitelist import Conclusion, WhitelistEntry

HEARD_SECONDS_MAX = 120.0
_FLUSH_SECONDS = 120.0
_OF = 20
"""Choices are made by a hash of the application id, modulo this."""
_ON_APPROVAL = {0: EventKind.CANCEL, 1: EventKind.EXPIRY}
_ON_OFFER = {3: 0.5, 4: 0.0, 5: 2.0}
"""What becomes of the limit; at 0 the offer is suspended instead."""
_APPROVED, _DECLINED, _TWICE = {6, 7, 8, 9}, {10, 11}, {6, 10}


class _Saying(NamedTuple):
    """One record of what else is said."""

    topic: str
    value: bytes
    key: bytes
    headers: Headers


class Sides:
    """Says it, from a thread of its own, and keeps what the oracle must know of it."""

    def __init__(self, bootstrap: str, group: str, workload: Workload) -> None:
        self._bootstrap, self._group = bootstrap, group
        self._client = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": PARTITIONER,
                "enable.idempotence": True,
                "max.in.flight.requests.per.connection": 1,
                "linger.ms": 5,
                "reconnect.backoff.max.ms": 1_000,
            },
            logger=QUIET,
        )
        entries = [case.entry for case in workload.people if case.entry is not None]
        self._entries = {entry.applicant_token: entry for entry in entries}
        self._workload, self._source = workload, f"/channels/{workload.run.name}"
        self.said = Said(set(), set(), set(), set(), {}, {})
        for entry in entries:
            self._note(entry)
        self.failed: list[str] = []
        self._refused: list[_Saying] = []
        self._sent = 0
        self._stop = Event()
        self._since = ends(bootstrap)[DECISIONS]
        self._thread = Thread(target=self._run, daemon=True)

    def foretell(self) -> None:
        """Say what comes before the applications, and wait until the engine has committed it."""
        for kind, token, application_id in self._workload.foretold():
            self._event(kind, token, application_id)
            if kind is EventKind.CANCEL:
                self.said.cancelled.add(application_id)
            elif kind is EventKind.HUMAN_REVIEW_REQUEST:
                self.said.for_people.add(application_id)
            else:
                self.said.revoked.add(token)
        self._flush()
        due, deadline = ends(self._bootstrap)[EVENTS], time.monotonic() + HEARD_SECONDS_MAX
        while any(offset < due[p] for p, offset in self._heard().items()):
            assert time.monotonic() < deadline, "the events before the run were not heard"
            time.sleep(0.2)

    def start(self) -> None:
        """Begin to answer decisions."""
        self._thread.start()

    def finish(self) -> str:
        """Say no more; what was said is on the topics. How much it was."""
        self._stop.set()
        self._thread.join()
        self._flush()
        assert not self.failed, f"not all was said: {self.failed[0]}"
        said = self.said
        return (
            f"{len(said.cancelled) + len(said.for_people)} withdrawn or for a person and "
            f"{len(said.revoked)} consents revoked before, {len(said.released)} released, "
            f"{len(said.answered)} referrals answered, "
            f"{len(said.offers) - len(self._entries)} offers changed"
        )

    def _heard(self) -> dict[int, int]:
        try:
            found = committed(self._bootstrap, self._group, topic=EVENTS)
        except KafkaException:
            return {0: -1}
        return {partition: max(0, offset) for partition, offset in found.items()}

    def _run(self) -> None:
        client = looker(self._bootstrap, **{"isolation.level": "read_committed"})
        client.assign([TopicPartition(DECISIONS, p, offset) for p, offset in self._since.items()])
        try:
            while not self._stop.is_set():
                for message in client.consume(500, 0.1):
                    if message.error() is None:
                        self._answer(decode_decision(message.value() or b""))
                self._client.poll(0)
                self._say_again()
        except Exception as error:  # noqa: BLE001  (told to whoever waits for the thread)
            self.failed.append(repr(error))
        finally:
            client.close()

    def _answer(self, decision: Decision) -> None:
        if decision.stage != 1:
            return
        chosen = crc32(decision.application_id.encode()) % _OF
        token, application_id = decision.applicant_token, decision.application_id
        if chosen in _ON_OFFER and token in self._entries:
            self._offer(self._entries[token], _ON_OFFER[chosen])
        elif decision.outcome is Outcome.APPROVE and chosen in _ON_APPROVAL:
            self.said.released.add(application_id)
            self._event(_ON_APPROVAL[chosen], token, application_id)
        elif decision.outcome is Outcome.REFER and chosen in _APPROVED | _DECLINED:
            answer = Answer.APPROVE if chosen in _APPROVED else Answer.DECLINE
            self._review(decision, answer, 2 if chosen in _TWICE else 1)

    def _offer(self, entry: WhitelistEntry, share: float) -> None:
        changed = msgspec.structs.replace(
            entry,
            limit_fen=int(entry.limit_fen * share) if share else entry.limit_fen,
            conclusion=Conclusion.PREAPPROVED if share else Conclusion.SUSPENDED,
            list_version=entry.list_version + 1,
        )
        self._entries[entry.applicant_token] = changed
        self._note(changed)
        self._send(WHITELIST, "whitelist.entry.v1", entry.applicant_token, changed)

    def _note(self, entry: WhitelistEntry) -> None:
        in_force = entry.conclusion is Conclusion.PREAPPROVED
        place = (entry.applicant_token, entry.list_version)
        self.said.offers[place] = entry.limit_fen if in_force else 0

    def _event(self, kind: EventKind, token: str, application_id: str) -> None:
        of_person = kind is EventKind.CONSENT_REVOKED
        event = ApplicationEvent(
            event_id=f"event-{self._sent:08d}",
            kind=kind,
            applicant_token=token,
            occurred_at=_now(),
            application_id=None if of_person else application_id,
        )
        self._send(EVENTS, "loan.application-event.v1", token, event)

    def _review(self, decision: Decision, answer: Answer, times: int) -> None:
        approved_fen = decision.requested_amount_fen if answer is Answer.APPROVE else 0
        review = ReferralOutcome(
            review_id=f"review-{self._sent:08d}",
            decision_id=decision.decision_id,
            application_id=decision.application_id,
            applicant_token=decision.applicant_token,
            answer=answer,
            approved_amount_fen=approved_fen,
            reviewer_id="reviewer-01",
            answered_at=_now(),
        )
        self.said.answered[decision.application_id] = review.review_id
        for _ in range(times):
            self._send(REVIEWS, "loan.referral-outcome.v1", decision.applicant_token, review)

    def _send(self, topic: str, kind: str, token: str, body: msgspec.Struct) -> None:
        self._sent += 1
        at = from_ms(time.time_ns() // 1_000_000)
        headers: Headers = cloud_event(kind, self._source, f"side-{self._sent}", at)
        self._produce(_Saying(topic, msgspec.json.encode(body), token.encode(), headers))

    def _produce(self, saying: _Saying) -> None:
        def told(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                self._refused.append(saying)

        self._client.produce(
            saying.topic, saying.value, saying.key, headers=[*saying.headers], on_delivery=told
        )

    def _say_again(self) -> None:
        """What the broker refused, say of a full disk; a second time it says nothing new."""
        refused, self._refused = self._refused, []
        for saying in refused:
            self._produce(saying)

    def _flush(self) -> None:
        deadline = time.monotonic() + _FLUSH_SECONDS
        while True:
            left = self._client.flush(_FLUSH_SECONDS) + len(self._refused)
            if not left:
                return
            assert time.monotonic() < deadline, f"{left} of what else was said not taken"
            time.sleep(0.2)
            self._say_again()


def _now() -> str:
    return from_ms(time.time_ns() // 1_000_000)
