"""What channels, the disbursement side and reviewers publish in one run, and what it means."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

import msgspec
from builders import HEADERS, application_bytes, bureau, entry, token

from stream.codec.keys import partition_of
from stream.domain.topics import APPLICATIONS, EVENTS
from stream.ports import Output

PEOPLE = 8
CAP_FEN = 20_000_000
"""What one person may be promised over all segments: the limit of every offer used here, and the
policy's cap on consumers."""
SEGMENTS = ("consumer", "merchant")
SEGMENT_MS = 5_000
"""How long everybody's offer is in one segment before it moves to the other."""
_SUBMITTED_AT = "2026-11-24T08:00:00Z"
_ID, _TOKEN, _AMOUNT = "app-template", token(999), 4_321_000
_TEMPLATE = application_bytes(
    application_id=_ID,
    applicant_token=_TOKEN,
    product_code="quick_unsecured",
    requested_amount_fen=_AMOUNT,
    declared={"annual_income_fen": 90_000_000, "employment_years": 10},
)
_SEGMENT = b'"segment":"consumer"'
PEOPLES = tuple(token(number) for number in range(1, PEOPLE + 1))
ENTRIES = {
    (t, segment): entry(applicant_token=t, limit_fen=CAP_FEN, segment=segment, list_version=version)
    for t in PEOPLES
    for version, segment in enumerate(SEGMENTS, 1)
}
REPORTS = {t: bureau(applicant_token=t, utilisation_pct=10.0) for t in PEOPLES}
_MALFORMED = (b"", b"{", b"\xff\xfe", b"[]", b'{"application_id": 7}', _TEMPLATE[:-20])


def segment_at(now_ms: int) -> str:
    """The segment of everybody's offer at a moment."""
    return SEGMENTS[now_ms // SEGMENT_MS % len(SEGMENTS)]


class Planned(NamedTuple):
    """One record and when it is published."""

    at_ms: int
    output: Output


class Meant(NamedTuple):
    """What the bytes of an application say: which id, whose, how much. None: malformed."""

    application_id: str
    applicant_token: str
    amount_fen: int
    segment: str = SEGMENTS[0]


class Workload:
    """The seeded plan of one run."""

    def __init__(self, random: Random, partitions: int, span_ms: int) -> None:
        self._random, self._partitions = random, partitions
        self.meant: dict[bytes, Meant] = {}
        self.planned: list[Planned] = []
        self._homes = {t: partition_of(t.encode(), partitions) for t in PEOPLES}
        steady = random.random() < 0.4
        bursts = [random.randrange(span_ms) for _ in range(random.randrange(2, 7))]
        records = random.randrange(16, 49)
        self._ids = 0
        self._sent: list[bytes] = []
        for _ in range(records):
            at_ms = random.randrange(span_ms) if steady else random.choice(bursts)
            self._plan(at_ms + random.randrange(40))
        self.planned.sort(key=lambda each: each.at_ms)

    def _plan(self, at_ms: int) -> None:
        draw = self._random.random()
        if draw < 0.12 and self._sent:
            self._put(at_ms, self._random.choice(self._sent))
        elif draw < 0.17 and self._sent:
            first = self.meant[self._random.choice(self._sent)]
            self._put(at_ms, self._value(first._replace(amount_fen=first.amount_fen + 10_000)))
        elif draw < 0.25:
            whose = self._random.choice(PEOPLES)
            value = self._random.choice(_MALFORMED)
            self._publish(at_ms, APPLICATIONS, whose, value, self._homes[whose])
        elif draw < 0.33 and self._sent:
            self._tell(at_ms, self.meant[self._random.choice(self._sent)])
        else:
            self._ids += 1
            amount_fen = self._random.choice((3_000_000, 5_000_000, 9_000_000))
            meant = Meant(f"app-{self._ids:08d}", self._random.choice(PEOPLES), amount_fen,
                          self._random.choice(SEGMENTS))  # fmt: skip
            value = self._value(meant)
            self._sent.append(value)
            self._put(at_ms, value)

    def _put(self, at_ms: int, value: bytes) -> None:
        """Mostly to the partition of its key; some channel hashes otherwise."""
        whose = self.meant[value].applicant_token
        home = self._homes[whose]
        astray = self._random.random() < 0.06
        partition = self._random.randrange(self._partitions) if astray else home
        self._publish(at_ms, APPLICATIONS, whose, value, partition)

    def _tell(self, at_ms: int, about: Meant) -> None:
        """Mostly of one's own application; now and then somebody names another person's."""
        kind = self._random.choice(("cancel", "expiry", "consent_revoked", "human_review_request"))
        whose = about.applicant_token
        if self._random.random() < 0.25:
            whose = self._random.choice(PEOPLES)
        event = {
            "event_id": f"event-{len(self.planned):08d}",
            "kind": kind,
            "applicant_token": whose,
            "occurred_at": _SUBMITTED_AT,
            "application_id": about.application_id,
        }
        self._publish(at_ms, EVENTS, whose, msgspec.json.encode(event), self._homes[whose])

    def _value(self, meant: Meant) -> bytes:
        value = (
            _TEMPLATE.replace(_ID.encode(), meant.application_id.encode())
            .replace(_TOKEN.encode(), meant.applicant_token.encode())
            .replace(str(_AMOUNT).encode(), str(meant.amount_fen).encode())
            .replace(_SEGMENT, b'"segment":"%s"' % meant.segment.encode())
        )
        self.meant[value] = meant
        return value

    def _publish(self, at_ms: int, topic: str, whose: str, value: bytes, partition: int) -> None:
        output = Output(topic, partition, whose.encode(), value, HEADERS)
        self.planned.append(Planned(at_ms, output))
