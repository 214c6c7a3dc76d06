"""What must be true once everything has healed and drained, read from the committed logs alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from functools import cache, lru_cache

import msgspec
from simulation.broker import Broker
from simulation.ledgers import decoded
from simulation.log import Entry, Log
from simulation.workload import CAP_FEN, Meant, Workload

from stream.codec.decision_v1 import DEAD_LETTER_AUDITED, decode_audit
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
_audited = lru_cache(maxsize=4096)(decode_audit)


class Expected:
    """What one partition's committed applications must have become, worked out the plain way."""

    def __init__(self, partition: int, broker: Broker, workload: Workload) -> None:
        self.first: dict[str, Meant] = {}
        self.buried: list[str] = []
        self.strays: list[str] = []
        self.reviews: dict[str, str] = {}
        self.places: dict[tuple[str, str], tuple[int, int]] = {}
        """Where an application, or its review, came first, by both ids."""
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
            else:
                self.places.setdefault((meant.application_id, ""), (partition, offset))

    def _reviews(self, partition: int, broker: Broker) -> None:
        """The first answer counts, the same again says nothing new, another is set aside."""
        for offset, entry in broker.logs[Place(REVIEWS, partition)].committed():
            said = msgspec.json.decode(entry.output.value)
            first = self.reviews.setdefault(said["application_id"], said["review_id"])
            self.places.setdefault((said["application_id"], first), (partition, offset))
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
    origins = Counter(_origin(e) for e in _entries(broker, DEAD_LETTERS, partition))
    yield from _differences(
        f"dead letters of partition {partition}", Counter(expected.buried), origins
    )
    yield from _strays(partition, expected, broker)
    yield from _content(expected, first_stage)
    yield from _order(expected, first_stage)
    yield from _exposure(partition, broker, decisions)
    yield from _audit(partition, expected, broker, decisions)


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
        said = (decision.applicant_token, decision.requested_amount_fen, decision.segment.value)
        if meant is not None and said != meant[1:]:
            yield f"decision on {decision.application_id} is not on its first content"


def _order(expected: Expected, decisions: list[Decision]) -> Iterator[str]:
    for whose in {d.applicant_token: None for d in decisions}:
        wanted = [i for i, m in expected.first.items() if m.applicant_token == whose]
        found = [d.application_id for d in decisions if d.applicant_token == whose]
        if wanted != found and sorted(wanted) == sorted(found):
            yield f"decisions of one person are out of order: {found}"


def _exposure(partition: int, broker: Broker, decisions: list[Decision]) -> Iterator[str]:
    """What is promised to one person over all ids and segments, decision by decision.

    Each decision knows all that was promised to its person before it. A promise that its own
    person had released at some time counts or not, as no topic says when a release was heard;
    an event of somebody else's that names it changes nothing.
    """
    told = (msgspec.json.decode(e.output.value) for e in _entries(broker, EVENTS, partition))
    released = {
        (t["applicant_token"], t["application_id"])
        for t in told
        if t["kind"] in {"cancel", "expiry"}
    }
    possible: dict[str, set[int]] = {}
    for decision in decisions:
        whose, what = decision.applicant_token, f"decision on {decision.application_id}"
        approves = decision.outcome is Outcome.APPROVE
        amount_fen = decision.approved_amount_fen if approves else 0
        before = possible.setdefault(whose, {0})
        if decision.exposure_before_fen not in before:
            yield f"{what} does not know what was promised to its person"
        if decision.exposure_after_fen != decision.exposure_before_fen + amount_fen:
            yield f"{what} does not add up"
        after = {fen + amount_fen for fen in before}
        freed = (whose, decision.application_id) in released
        possible[whose] = after | before if freed else after
        if decision.exposure_after_fen > CAP_FEN:
            yield f"{what} went over the cap by its own account"
        if amount_fen and min(possible[whose]) > CAP_FEN:
            yield f"{min(possible[whose])} fen promised to one person, the cap is {CAP_FEN}"


def _audit(
    partition: int, expected: Expected, broker: Broker, decisions: list[Decision]
) -> Iterator[str]:
    """One record of each decision and dead letter, which says the same, on one unbroken chain."""
    due = {decision.decision_id: decision for decision in decisions}
    letters = {
        _origin(e): _header(e, "x-sha256") for e in _entries(broker, DEAD_LETTERS, partition)
    }
    head = GENESIS
    times: Counter[str] = Counter()
    for entry in _entries(broker, AUDIT, partition):
        output, kind = entry.output, _header(entry, "ce_type")
        if kind == DEAD_LETTER_AUDITED:
            told = msgspec.json.decode(output.value)
            about = f"{told['source_topic']}/{told['source_partition']}/{told['source_offset']}"
            same = letters.get(about) == told["sha256"]
        else:
            audit = _audited(output.value)
            about = audit.decision.decision_id
            asked = expected.places.get(_asked(audit.decision))
            source = audit.source_partition, audit.source_offset
            same = due.get(about) == audit.decision and asked == source
        times[about] += 1
        if not same:
            yield f"audit of partition {partition} differs from what it audits: {about}"
        head = link(head, partition, output.key, output.value)
        if head_of(output.headers) != head:
            yield f"audit chain of partition {partition} is broken at record {head.sequence}"
            return
    yield from _differences(f"audit of partition {partition}", Counter([*due, *letters]), times)


def _asked(decision: Decision) -> tuple[str, str]:
    """What a decision answers: its application, or the review that came of it."""
    return decision.application_id, decision.review.review_id if decision.review else ""


def _origin(entry: Entry) -> str:
    """Where a dead letter came from."""
    names = ("x-origin-topic", "x-origin-partition", "x-origin-offset")
    return "/".join(_header(entry, name) for name in names)


def _entries(broker: Broker, topic: str, partition: int) -> list[Entry]:
    log: Log = broker.logs[Place(topic, partition)]
    return [entry for _, entry in log.committed()]


def _header(entry: Entry, wanted: str) -> str:
    value = next((value for name, value in entry.output.headers if name == wanted), b"")
    return bytes(value or b"").decode()
