"""The screening's loop: poll, screen, and commit offsets, entries and dead letters as one.

Exactly once: a batch's entries, tombstones, dead letters and offsets are one Kafka
transaction, under the identity that the group gave this process. So a process that has lost
its partitions cannot overwrite the offers of the one that has them now.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from confluent_kafka import Message

from stream.codec.dead_letter_v1 import dead_letter_key, encode_dead_letter
from stream.codec.headers import cloud_event
from stream.config import Settings
from stream.domain.instant import from_ms
from stream.domain.topics import DEAD_LETTERS, PROFILES, WHITELIST
from stream.edge.clients import record_of
from stream.edge.letter_keys import read_sealer
from stream.edge.model_folder import trusted_keys
from stream.edge.onnx_scorer import load_models
from stream.edge.outlet import KafkaOutlet
from stream.edge.screen_list import MADE_BY, Maker
from stream.edge.screen_source import ScreenSource
from stream.errors import BrokerError, Remedy, TransactionError
from stream.ops.topics import TOPICS
from stream.policy.load import load_policy
from stream.ports import Identity, Output, Place
from stream.screening.batch import Outcome, screen_batch
from stream.screening.policy import load_screening_policy
from stream.screening.screen import Screening

BATCH_RECORDS = 5_000
POLL_SECONDS = 0.2
Progress = Callable[[int, int], None]
"""Told how many records of how many have been screened."""


def load_screening(settings: Settings) -> tuple[Screening, str]:
    """The screening, and a digest of everything its verdicts follow from but the profiles."""
    policy = load_policy(settings.policy_file)
    rules, rules_sha256 = load_screening_policy(settings.screening_file, policy)
    scorers = load_models(settings.models_dir, policy.models, trusted_keys(settings))
    parts = [policy.sha256, rules_sha256]
    parts += [scorers[model].manifest_sha256 for model in sorted(scorers)]
    return Screening(scorers, policy, rules), hashlib.sha256("/".join(parts).encode()).hexdigest()


class ScreenWorker:
    """One process of the screening.

    The group is named after the digest, so that with another model or policy it has read
    nothing yet: it reads the compacted topic from its start and sends what differs.
    """

    def __init__(self, settings: Settings) -> None:
        self._screening, digest = load_screening(settings)
        self._settings, self._sealer = settings, read_sealer(settings)
        group = f"{settings.group_id}-screen-{digest[:12]}"
        # No two processes share an id: who may write is settled by the group, not by the id.
        self._id = f"{group}-{uuid4().hex[:12]}"
        folder = Path(settings.state_dir) / "screen"
        self._maker = Maker(self._screening.policy.list_version, digest)
        self._source = ScreenSource(settings, group, folder, self._maker, _retention_ms())
        self._outlet = KafkaOutlet(settings, self._id)
        self.counts: Counter[str] = Counter()

    def run(self, stop: threading.Event, progress: Progress, *, once: bool) -> None:
        """Screen until `stop`, or with `once` until every owned partition is at its end."""
        while not stop.is_set():
            messages = self._source.poll(BATCH_RECORDS, POLL_SECONDS)
            if messages:
                self._batch(messages, self._source.identity())
                source = self._source
                total = sum(source.ends[p] - source.starts[p] for p in source.books)
                progress(self.counts["records"], max(total, self.counts["records"]))
            elif once and self._source.read_to_the_end:
                return

    def close(self) -> None:
        """Leave the group."""
        self._source.close()

    def _batch(self, messages: Sequence[Message], identity: Identity | None) -> None:
        """Screen and send; all is undone unless the member that read is the one that commits."""
        now_ms = time.time_ns() // 1_000_000
        by_partition: dict[int, list[Message]] = {}
        for message in messages:
            by_partition.setdefault(message.partition() or 0, []).append(message)
        found = {p: self._screen(p, group, now_ms) for p, group in by_partition.items()}
        moved = {
            Place(PROFILES, p): (group[-1].offset() or 0) + 1 for p, group in by_partition.items()
        }
        try:
            now = self._source.identity()
            if identity is None or now is None or now.member != identity.member:
                raise TransactionError(Remedy.ABORT, "identity_changed")
            self._outlet.begin()
            for partition, outcome in found.items():
                group = by_partition[partition]
                self._outlet.send(self._outputs(partition, group, outcome, now_ms))
            self._outlet.commit(moved, identity)
        except TransactionError as error:
            self._recover(error)
            return
        for partition, outcome in found.items():
            self._source.books[partition].write(
                (change.key, change.held) for change in outcome.changes
            )
            self.counts.update(outcome.counts)

    def _screen(self, partition: int, messages: Sequence[Message], now_ms: int) -> Outcome:
        records = [(message.key(), message.value()) for message in messages]
        look = self._source.books[partition].standing
        return screen_batch(self._screening, records, look, now_ms)

    def _outputs(
        self, partition: int, messages: Sequence[Message], outcome: Outcome, now_ms: int
    ) -> list[Output]:
        headers = cloud_event("whitelist.entry.v1", "/screening", "-", from_ms(now_ms))
        headers.append(("list_version", str(self._maker.version).encode()))
        headers.append((MADE_BY, self._maker.digest.encode()))
        outputs = [
            Output(
                WHITELIST,
                partition,
                change.key,
                change.value,
                [*headers, ("reason", change.reason.encode())] if change.reason else headers,
            )
            for change in outcome.changes
        ]
        for index, error in outcome.bad:
            record = record_of(messages[index])
            value, letter = encode_dead_letter(record, error, now_ms, self._sealer)
            key = dead_letter_key(record.key)
            outputs.append(Output(DEAD_LETTERS, partition, key, value, letter))
        return outputs

    def _recover(self, error: TransactionError) -> None:
        """Whatever became of it: a producer that fences the old, and back to what is committed."""
        if error.remedy in (Remedy.LEAVE, Remedy.HOLD):
            raise BrokerError(f"screening: {error}", fix="mend it and start again") from None
        with suppress(TransactionError):
            self._outlet.abort()
        try:
            self._outlet = KafkaOutlet(self._settings, self._id)
        except TransactionError as again:
            raise BrokerError(f"screening: {again}", fix="start it again") from None
        self.counts["transactions_failed"] += 1
        self._source.restore()


def _retention_ms() -> int:
    """How long the whitelist keeps tombstones, as declared."""
    (declared,) = (topic.configs for topic in TOPICS if topic.name == WHITELIST)
    return int(declared["delete.retention.ms"])


def closing_figures(counts: Counter[str], seconds: float, cpu_seconds: float) -> dict[str, object]:
    """What a run came to, for people and machines."""
    records = counts["records"]
    named = ("records", "people", "listed", "upserted", "unchanged", "removed", "bad")
    return {
        **{name: counts[name] for name in named},
        "transactions_failed": counts["transactions_failed"],
        "not_listed": {
            name.removeprefix("reason:"): count
            for name, count in sorted(counts.items())
            if name.startswith("reason:")
        },
        "seconds": round(seconds, 3),
        "profiles_per_second": round(records / seconds) if seconds else 0,
        "cpu_us_per_profile": round(1e6 * cpu_seconds / records, 2) if records else None,
    }
