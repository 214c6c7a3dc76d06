"""Audit records and outcomes for the tests of the watch, made from the example of an approval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from stream.codec.decision_v1 import decode_audit
from stream.domain.decision import Audit, ModelUsed, Outcome
from stream.domain.instant import from_ms, to_ms
from stream.domain.lineup import Alias
from stream.domain.outcome import LoanOutcome, OutcomeEvent, outcome_of
from stream.scoring.features import MISSING
from stream.scoring.manifest import Manifest
from stream.scoring.reference import Reference, Shape

_EXAMPLES = Path(__file__).parents[1] / "schemas" / "examples" / "valid"
APPROVAL = decode_audit((_EXAMPLES / "decision.audit.approve.json").read_bytes())
START_MS = to_ms("2026-01-01T00:00:00Z")
DAY_MS = 86_400_000
_replace = msgspec.structs.replace


def reference_of(manifest: Manifest) -> Reference:
    """The training rows of a shipped model, which all have them."""
    assert manifest.reference is not None
    return manifest.reference


def drawn(shape: Shape, count: int, chance: np.random.Generator) -> list[float]:
    """Values of a live population like the training rows: one in each bin's share of cases."""
    tops = [*shape.edges, shape.high, MISSING]
    counts = np.asarray([*shape.counts, shape.missing])
    picks = chance.choice(len(tops), count, p=counts / counts.sum())
    return [tops[pick] for pick in picks]


def spread(shape: Shape, count: int, chance: np.random.Generator) -> list[float]:
    """Whole points of such a population, spread evenly within each bin."""
    ends = np.asarray([shape.low, *shape.edges, shape.high])
    bins = chance.choice(len(shape.counts), count, p=np.asarray(shape.counts) / sum(shape.counts))
    values: list[float] = np.ceil(chance.uniform(ends[bins], ends[bins + 1])).tolist()
    return values


def scored(manifest: Manifest, number: int, features: dict[str, float], points: int) -> Audit:
    """The audit of one scored decision on an applicant of the model's segment."""
    model = ModelUsed(manifest.model_id, manifest.version, manifest.onnx_sha256)
    decision = _replace(
        APPROVAL.decision,
        decision_id=f"d_{number:032x}",
        segment=manifest.segment,
        model=model,
        score_points=points,
        decided_at=from_ms(START_MS + number),
    )
    return _replace(APPROVAL, decision=decision, features=features)


def population(manifest: Manifest, count: int, seed: int) -> list[Audit]:
    """Audits of a live population without drift."""
    chance, reference = np.random.default_rng(seed), reference_of(manifest)
    columns = {name: drawn(s, count, chance) for name, s in reference.features.items()}
    points = drawn(reference.score, count, chance)
    return [
        scored(manifest, i, {name: column[i] for name, column in columns.items()}, int(points[i]))
        for i in range(count)
    ]


def approval(number: int, day: int, amount_fen: int = 10_000_000, **changes: Any) -> Audit:
    """An approval by the champion on a day counted from the start of 2026."""
    decision = _replace(
        APPROVAL.decision,
        decision_id=f"d_{number:032x}",
        outcome=Outcome.APPROVE,
        approved_amount_fen=amount_fen,
        decided_at=from_ms(START_MS + day * DAY_MS),
        **changes,
    )
    return _replace(APPROVAL, decision=decision)


def outcome(audit: Audit, event: OutcomeEvent, day: int, days_past_due: int = 0) -> LoanOutcome:
    """What happened to an approved loan on a day counted from the start of 2026."""
    said = outcome_of(audit.decision, event, START_MS + day * DAY_MS)
    return _replace(said, days_past_due=days_past_due or None)


def challenger(audit: Audit) -> Audit:
    """The same, decided by a challenger."""
    model = audit.decision.model
    assert model is not None
    model = _replace(model, arm=Alias.CHALLENGER, version="9.0.0")
    return _replace(audit, decision=_replace(audit.decision, model=model))
