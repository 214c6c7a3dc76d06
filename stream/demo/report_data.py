"""What the report says, gathered from decisions read back from their topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stream.demo.reconcile import Reconciliation
from stream.demo.state import Cell, Tallied
from stream.domain.application import Channel
from stream.domain.decision import Decision, Outcome
from stream.domain.instant import to_ms
from stream.loop.funnel import Counts

AS_ASKED = "As asked"
FAMILIES = {
    "C": "Consent and data",
    "S": "Switched off",
    "T": "Time and data age",
    "R": "Product rules",
    "W": "Standing offer",
    "B": "Credit bureau",
    "A": "Affordability",
    "E": "Exposure",
    "K": "Score band",
    "M": "Score",
}


@dataclass(frozen=True)
class RunFacts:
    """What the topics do not say: how the demo was run and what the policy's cut-offs are."""

    made_at: str
    broker: str
    elapsed_seconds: float
    cut_off_points: Mapping[str, int]


@dataclass
class ReportData:
    """Everything the report shows."""

    run: RunFacts
    reconciliation: Reconciliation
    funnel: Mapping[Cell, Counts]
    cells: dict[Cell, Tallied] = field(default_factory=dict)
    approved_points: dict[str, list[int]] = field(default_factory=dict)
    referred_points: dict[str, list[int]] = field(default_factory=dict)
    approved_families: Counter[str] = field(default_factory=Counter)
    referred_families: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[int] = field(default_factory=list)
    models: set[tuple[str, str, str]] = field(default_factory=set)
    policies: set[tuple[str, str]] = field(default_factory=set)
    synthetic: int = 0

    @property
    def decided(self) -> int:
        """Decisions in the report."""
        return sum(cell.decided for cell in self.cells.values())

    @property
    def approved(self) -> int:
        """Approvals in the report."""
        return sum(cell.approved for cell in self.cells.values())

    def quantile_ms(self, quantile: float) -> int:
        """The latency that this share of decisions did not exceed; 0 without decisions."""
        if not self.latencies_ms:
            return 0
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


def gather(
    decisions: Iterable[Decision],
    funnel: Mapping[Cell, Counts],
    reconciliation: Reconciliation,
    run: RunFacts,
) -> ReportData:
    """Take in every decision once; a decision id seen again is passed over."""
    data = ReportData(run, reconciliation, funnel)
    seen: set[str] = set()
    for decision in decisions:
        if decision.decision_id not in seen:
            seen.add(decision.decision_id)
            _take(data, decision)
    return data


def _take(data: ReportData, decision: Decision) -> None:
    approved = decision.outcome is Outcome.APPROVE
    segment = str(decision.segment)
    cell = data.cells.setdefault((str(decision.channel), segment), Tallied())
    cell.decided += 1
    cell.approved += approved
    if decision.score_points is not None:
        points = data.approved_points if approved else data.referred_points
        points.setdefault(segment, []).append(decision.score_points)
    family = FAMILIES[decision.reasons[0].code[0]] if decision.reasons else AS_ASKED
    (data.approved_families if approved else data.referred_families)[family] += 1
    if decision.channel is not Channel.CUSTOMER_MANAGER:  # see DemoState.take
        data.latencies_ms.append(max(1, to_ms(decision.decided_at) - to_ms(decision.submitted_at)))
    data.policies.add((decision.policy.policy_id, decision.policy.sha256))
    if decision.model is not None:
        model = decision.model
        data.models.add((model.model_id, model.version, model.sha256))
    data.synthetic += decision.synthetic
