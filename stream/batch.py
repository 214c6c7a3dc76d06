"""A micro-batch on its way through the pipeline: its rows, and what they became."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stream.codec.decision_v1 import decode_audit
from stream.compose import Scored
from stream.domain.application import Application
from stream.domain.decision import Audit, Decision, RuleHit, ShadowScore
from stream.domain.lineup import Alias
from stream.domain.topics import APPLICATIONS
from stream.errors import PoisonError
from stream.policy.rules import Case, Verdict
from stream.ports import Output, Record


class Row:
    """One application on its way through the batch."""

    __slots__ = (
        "app", "arm", "canonical", "case", "features", "record", "scored", "sha256", "trail",
        "verdict", "watched",
    )  # fmt: skip

    def __init__(self, record: Record, app: Application, canonical: bytes = b"") -> None:
        self.record = record
        self.app = app
        self.canonical = canonical
        self.sha256 = ""
        self.case: Case | None = None
        self.trail: list[RuleHit] = []
        self.features: list[float] = []
        self.arm = Alias.CHAMPION
        self.scored: Scored | None = None
        self.watched: list[ShadowScore] = []
        self.verdict: Verdict | None = None


class Settled(NamedTuple):
    """A record that was decided: the values of both records that leave."""

    record: Record
    decision: Decision
    value: bytes
    audit: bytes


class Batch:
    """What a batch of records became."""

    def __init__(self, records: Sequence[Record]) -> None:
        """Nothing yet."""
        self.received = len(records)
        self.applications = sum(record.topic == APPLICATIONS for record in records)
        self.outputs: list[Output] = []
        self.decisions: list[Decision] = []
        self.settled: list[Settled] = []
        self.buried: list[tuple[Record, PoisonError]] = []
        self.strays: list[Record] = []
        self.events = 0
        self.duplicates = 0
        self.oldest_submitted_ms: int | None = None
        self.least_left_ms: int | None = None

    @property
    def audits(self) -> list[tuple[Record, Audit]]:
        """Every record that was decided, with its audit, read back from its bytes.

        The engine never asks: it keeps no audit longer than it takes to encode it.
        """
        return [(each.record, decode_audit(each.audit)) for each in self.settled]

    def bury(self, record: Record, error: PoisonError) -> None:
        """Set a record aside as a dead letter."""
        self.buried.append((record, error))
