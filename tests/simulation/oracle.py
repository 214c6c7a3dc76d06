"""What must be true once everything has healed and drained, read from the committed logs alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from functools import cache

import msgspec
from simulation.broker import Broker
from simulation.ledgers import decoded
from simulation.log import Entry, Log
from simulation.workload import CAP_FEN, Meant, Workload

from stream.codec.keys import partition_of
from stream.domain.chain import GENESIS, head_of, link
from stream.domain.decision import Decision, Outcome
from stream.domain.topics import (
    APPLICATIONS,
    AUDIT,
    DEAD_LETTERS,
    DECISIONS,
    EVENTS,
    INPUTS,
    REVIEWS,
)
from stream.ports import Place

FORWARDED = "x-forwarded-from"
_home = cache(partition_of)
DECISION_AUDIT, DEAD_LETTER_AUDIT = b"loan.decision.audit.v1", b"loan.dead_letter.audit.v1"


class Expected:
    """What one partition's committed applications must have become, worked out the plain way."""

    def __init__(self, partition: int, broker: Broker, workload: Workload) -> None:
        self.first: dict[str, Meant] = {}
        self.buried: list[str] = []
        self.strays: list[str] = []
        self.reviews: dict[str, str] = {}
        self._applications(partition, broker, workload)
        self._reviews(partition, broker)

    def _applications(self, partition: int, broker: Broker, workload: Workload) -> None:
        for offset, entry in broker.logs[Place(APPLICATIONS, partition)].committed():
            output = entry.output
            if _home(output.key, broker.partitions) != partition:
                self.strays.append(f"{partition}/{offset}")
                continue
            meant = workload.meant.get(output.value)
            if meant is None or self.first.setdefault(meant.application_id, meant) != meant:
                self.buried.append(f"{APPLICATIONS}/{partition}/{offset}")

    def _reviews(self, partition: int, broker: Broker) -> None:
        """The first answer counts, the same again says nothing new, another is set aside."""
        for offset, entry in broker.logs[Place(REVIEWS, partition)].committed():
            said = msgspec.json.decode(entry.output.value)
            first = self.reviews.setdefault(said["application_id"], said["review_id"])
            if first != said["review_id"]:
                self.buried.append(f"{REVIEWS}/{partition}/{offset}")


def violations(broker: Broker, workload: Workload) -> list[str]:
    """Every broken promise, in words; empty when all were kept."""
    found = [each for p in range(broker.partitions) for each in _partition(p, broker, workload)]
    return broker.torn + found


def undrained(broker: Broker) -> list[str]:
    """Inputs whose committed offset is not at the end."""
    left = []
    for place, log in broker.logs.items():
        if place.topic in INPUTS and (broker.group.offsets.get(place) or 0) <= log.newest():
            left.append(f"{place.topic}/{place.partition} is not read to its end")
    return left


def _partition(partition: int, broker: Broker, workload: Workload) -> Iterator[str]:
    expected = Expected(partition, broker, workload)
    decisions = [decoded(e.output.value) for e in _entries(broker, DECISIONS, partition)]
    first_stage = [d for d in decisions if d.review is None]
    yield from _differences(
        f"decisions of partition {partition}",
        Counter(expected.first),
        Counter(d.application_id for d in first_stage),
    )
    yield from _differences(
        f"second stages of partition {partition}",
        Counter(expected.reviews.items()),
        Counter((d.application_id, d.review.review_id) for d in decisions if d.review),
    )
    origins = Counter(
        f"{_header(e, 'x-origin-topic')}/{_header(e, 'x-origin-partition')}/"
        f"{_header(e, 'x-origin-offset')}"
        for e in _entries(broker, DEAD_LETTERS, partition)
    )
    yield from _differences(
        f"dead letters of partition {partition}", Counter(expected.buried), origins
    )
    yield from _strays(partition, expected, broker)
    yield from _content(expected, first_stage)
    yield from _order(expected, first_stage)
    yield from _exposure(partition, broker, decisions)
    yield from _audit(partition, broker, len(decisions), sum(origins.values()))


def _differences(what: str, wanted: Counter[Hashable], found: Counter[Hashable]) -> Iterator[str]:
    wanted = Counter(dict.fromkeys(wanted, 1))
    for name, count in (wanted - found).items():
        yield f"{what}: {name} is missing ({count})"
    for name, count in (found - wanted).items():
        yield f"{what}: {name} is there {count} times too often"


def _strays(partition: int, expected: Expected, broker: Broker) -> Iterator[str]:
    if not expected.strays:
        return
    forwarded = Counter(
        _header(entry, FORWARDED)
        for (topic, _), log in broker.logs.items()
        if topic == APPLICATIONS
        for _, entry in log.committed()
    )
    for origin in expected.strays:
        if forwarded[origin] != 1:
            yield f"stray {origin} was sent on {forwarded[origin]} times"


def _content(expected: Expected, decisions: list[Decision]) -> Iterator[str]:
    for decision in decisions:
        meant = expected.first.get(decision.application_id)
        said = (decision.applicant_token, decision.requested_amount_fen)
        if meant is not None and said != (meant.applicant_token, meant.amount_fen):
            yield f"decision on {decision.application_id} is not on its first content"


def _order(expected: Expected, decisions: list[Decision]) -> Iterator[str]:
    for whose in {d.applicant_token: None for d in decisions}:
        wanted = [i for i, m in expected.first.items() if m.applicant_token == whose]
        found = [d.application_id for d in decisions if d.applicant_token == whose]
        if wanted != found and sorted(wanted) == sorted(found):
            yield f"decisions of one person are out of order: {found}"


def _exposure(partition: int, broker: Broker, decisions: list[Decision]) -> Iterator[str]:
    """Promised and not releasable, per person and over the whole log, against the cap."""
    told = (msgspec.json.decode(e.output.value) for e in _entries(broker, EVENTS, partition))
    released = {t["application_id"] for t in told if t["kind"] in {"cancel", "expiry"}}
    promised: Counter[str] = Counter()
    for decision in decisions:
        if decision.outcome is Outcome.APPROVE and decision.application_id not in released:
            promised[decision.applicant_token] += decision.approved_amount_fen
        if decision.exposure_after_fen > CAP_FEN:
            yield f"decision on {decision.application_id} went over the cap by its own account"
    for amount_fen in promised.values():
        if amount_fen > CAP_FEN:
            yield f"{amount_fen} fen promised to one person, the cap is {CAP_FEN}"


def _audit(partition: int, broker: Broker, decisions: int, dead_letters: int) -> Iterator[str]:
    kinds = Counter(_header(e, "ce_type") for e in _entries(broker, AUDIT, partition))
    found = (kinds[DECISION_AUDIT.decode()], kinds[DEAD_LETTER_AUDIT.decode()])
    if found != (decisions, dead_letters):
        yield f"audit of partition {partition} has {found}, expected {(decisions, dead_letters)}"
    head = GENESIS
    for entry in _entries(broker, AUDIT, partition):
        output = entry.output
        head = link(head, partition, output.key, output.value)
        if head_of(output.headers) != head:
            yield f"audit chain of partition {partition} is broken at record {head.sequence}"
            return


def _entries(broker: Broker, topic: str, partition: int) -> list[Entry]:
    log: Log = broker.logs[Place(topic, partition)]
    return [entry for _, entry in log.committed()]


def _header(entry: Entry, wanted: str) -> str:
    value = next((value for name, value in entry.output.headers if name == wanted), b"")
    return bytes(value or b"").decode()
