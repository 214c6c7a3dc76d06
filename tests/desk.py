"""Everyone around one engine: channels, disbursement side, reviewers, and who reads decisions."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from threading import Event
from typing import Any
from uuid import uuid4

from builders import application, bureau, entry, token
from confluent_kafka import Consumer, Producer, TopicPartition
from msgspec import json
from policy_cases import merged

from stream.codec.decision_v1 import decode_decision
from stream.codec.headers import cloud_event
from stream.codec.keys import PARTITIONER, partition_of
from stream.config import Settings
from stream.demo.tables import Row, publish_rows
from stream.domain.application_event import EventKind
from stream.domain.decision import Decision
from stream.domain.instant import from_ms
from stream.domain.topics import APPLICATIONS, BUREAU, DECISIONS, EVENTS, REVIEWS, WHITELIST
from stream.edge.clients import consumer

LIMIT_FEN = 5_000_000
"""The offer of everyone on the list, unless told otherwise."""
DAY_MS = 86_400_000
ANSWER_SECONDS = 60.0
LIBRDKAFKA_DEFAULT = "consistent_random"


def now() -> str:
    """The present moment."""
    return from_ms(_now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Desk:
    """Speaks to the broker only, never to the engine."""

    def __init__(self, settings: Settings) -> None:
        """Read decisions from here on."""
        self._settings = settings
        self._client = self._channel(PARTITIONER)
        self._people: Iterator[int] = iter(())
        self._found: dict[tuple[str, int], list[Decision]] = defaultdict(list)
        self._reader: Consumer = consumer(settings, f"{settings.group_id}-desk")
        places = [TopicPartition(DECISIONS, number) for number in range(settings.partitions)]
        for place in places:
            place.offset = self._reader.get_watermark_offsets(place, timeout=10)[1]
        self._reader.assign(places)

    def close(self) -> None:
        """Let go of the broker."""
        self._reader.close()
        del self._client

    def _channel(self, partitioner: str) -> Producer:
        servers = self._settings.bootstrap
        return Producer({"bootstrap.servers": servers, "partitioner": partitioner})

    def list_people(self, count: int, limit_fen: int = LIMIT_FEN) -> None:
        """Offers and reports for people 1 to `count`, for `person` to hand out."""
        self._people = iter(range(1, count + 1))
        at_ms = _now_ms()
        tokens = [token(number) for number in range(1, count + 1)]
        span = {
            "valid_from": from_ms(at_ms - 30 * DAY_MS),
            "valid_to": from_ms(at_ms + 30 * DAY_MS),
        }
        self._put(
            WHITELIST,
            "whitelist.entry.v1",
            {t: entry(applicant_token=t, limit_fen=limit_fen, **span) for t in tokens},
        )
        as_of = from_ms(at_ms - DAY_MS)
        reports = {t: bureau(applicant_token=t, as_of=as_of, utilisation_pct=10.0) for t in tokens}
        self._put(BUREAU, "bureau.features.v1", reports)

    def _put(self, topic: str, kind: str, records: dict[str, Any]) -> None:
        rows = (
            (Row(key.encode(), json.encode(record)), cloud_event(kind, "/desk", key, now()))
            for key, record in records.items()
        )
        publish_rows(self._settings, topic, rows, lambda _: None, Event())

    def person(self, partition: int | None = None) -> str:
        """The next listed person nobody has used, of one partition if asked for."""
        for number in self._people:
            whose = token(number)
            home = partition_of(whose.encode(), self._settings.partitions)
            if partition is None or home == partition:
                return whose
        raise AssertionError("too few people")

    def apply(self, whose: str, amount_fen: int = LIMIT_FEN, **changes: Any) -> str:
        """One application; its id."""
        ids = self.apply_at_once(whose, [amount_fen], **changes)
        return str(changes.get("application_id", ids[0]))

    def apply_late(self, whose: str) -> str:
        """One application that is late by the channel's own deadline, so it is referred; its id."""
        at_ms = _now_ms()
        return self.apply(
            whose, submitted_at=from_ms(at_ms - 2_000), decide_by=from_ms(at_ms - 1_000)
        )

    def apply_at_once(
        self,
        whose: str,
        amounts_fen: Iterable[int],
        channels: Iterable[str] = ("mobile_bank",),
        partitioner: str = PARTITIONER,
        **changes: Any,
    ) -> list[str]:
        """Applications of one person over several channels, each with a connection of its own."""
        clients = [(name, self._channel(partitioner)) for name in channels]
        ids = []
        for turn, amount_fen in enumerate(amounts_fen):
            channel, client = clients[turn % len(clients)]
            ids.append(f"app-{uuid4().hex}")
            value = application_of(whose, ids[-1], amount_fen, channel, changes)
            self._send(client, APPLICATIONS, whose, value, "loan.application.v1")
        for _, client in clients:
            assert client.flush(30) == 0
        return ids

    def tell(self, kind: EventKind, whose: str, application_id: str | None = None) -> None:
        """One event."""
        value = {
            "event_id": f"event-{uuid4().hex}",
            "kind": kind.value,
            "applicant_token": whose,
            "occurred_at": now(),
        }
        if application_id is not None:
            value["application_id"] = application_id
        self._send(self._client, EVENTS, whose, value, "loan.application_event.v1")
        assert self._client.flush(30) == 0

    def answer(self, referral: Decision, amount_fen: int, review_id: str) -> None:
        """A reviewer's approval of a referral."""
        value = {
            "review_id": review_id,
            "decision_id": referral.decision_id,
            "application_id": referral.application_id,
            "applicant_token": referral.applicant_token,
            "answer": "approve",
            "approved_amount_fen": amount_fen,
            "reviewer_id": "reviewer-01",
            "answered_at": now(),
        }
        whose = referral.applicant_token
        self._send(self._client, REVIEWS, whose, value, "loan.referral_outcome.v1")
        assert self._client.flush(30) == 0

    def _send(self, client: Producer, topic: str, whose: str, value: object, kind: str) -> None:
        headers = [*cloud_event(kind, "/desk", uuid4().hex, now())]
        client.produce(topic, json.encode(value), whose, headers=headers)

    def broken(self, partition: int) -> None:
        """A record on this partition that can only become a dead letter."""
        whose = self.person(partition)
        self._client.produce(APPLICATIONS, b"{", whose, partition=partition)
        assert self._client.flush(30) == 0

    def look(self, seconds: float = 0.2) -> dict[tuple[str, int], list[Decision]]:
        """All committed decisions so far, by application id and stage."""
        for message in self._reader.consume(1_000, seconds):
            if message.error() is None:
                decision = decode_decision(message.value() or b"")
                self._found[decision.application_id, decision.stage].append(decision)
        return self._found

    def decision(self, application_id: str, stage: int = 1) -> Decision:
        """The one committed decision of a stage, waited for."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self.look()[application_id, stage]:
            assert time.monotonic() < deadline, f"no decision of stage {stage} in time"
        [decision] = self._found[application_id, stage]
        return decision


def application_of(
    whose: str, application_id: str, amount_fen: int, channel: str, changes: dict[str, Any]
) -> dict[str, Any]:
    """An application of a sound person, submitted now."""
    at_ms = _now_ms()
    authorization = {
        "signed_at": from_ms(at_ms - 1),
        "expires_at": from_ms(at_ms + 30 * DAY_MS),
    }
    sound = {
        "application_id": application_id,
        "applicant_token": whose,
        "channel": channel,
        "requested_amount_fen": amount_fen,
        "submitted_at": from_ms(at_ms),
        "authorization": authorization,
        "declared": {"annual_income_fen": 20_000_000, "employment_years": 10},
    }
    return application(**merged(sound, changes))
