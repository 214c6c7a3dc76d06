"""What it means that a decision made again is not the one recorded: where it first parts ways.

A decision follows in four steps: what was given, the features made of it, the
score made of those, and what the rules make of that. The verdict names the first
step that does not follow from the one before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from stream.domain.decision import Audit, Decision


class Verdict(StrEnum):
    """What came of deciding one record again; docs/audit.md defines each."""

    MATCH = "match"
    DATA = "changed by data"
    MODEL = "changed by model"
    RULE = "changed by rule"
    UNREADABLE = "unreadable"
    NOT_A_DECISION = "not a decision"


class Compared(NamedTuple):
    """The verdict, the paths that differ, and whether outcome, amount, price or reasons do."""

    verdict: Verdict
    fields: tuple[str, ...] = ()
    other_answer: bool = False


BYTES = "the decision's bytes"
"""Named where every field is equal, and the recorded text is not what an engine writes."""

_GIVEN = ("application", "referral_outcome", "whitelist_entry", "bureau", "standing.")
_ECHOED = frozenset(
    f"decision.{name}"
    for name in (
        "decision_id", "application_id", "applicant_token", "channel", "segment", "product_code",
        "requested_amount_fen", "term_months", "offer_id", "list_version", "exposure_before_fen",
        "application_sha256", "submitted_at", "decided_at", "deadline_met", "synthetic",
        "consent_signed_at", "consent_expires_at", "stage",
    )
)  # fmt: skip
"""Fields of a decision that repeat what was given, whatever model and policy say."""

_SCORE = (
    "log_odds", "contributions", "shadows", "standing.arm", "standing.models",
    "decision.model", "decision.score_points", "decision.pd",
)  # fmt: skip


class Sides(NamedTuple):
    """A decision as it is recorded and as it is made now: audit record, decision's bytes."""

    recorded: Audit
    raw: bytes
    made: Audit
    now: bytes


def compare(sides: Sides, *, same_model: bool) -> Compared:
    """Where they part, if they do; `same_model` when the recorded model was there to score.

    Another release that makes the same of the same changes nothing: `engine_version`
    is not compared.
    """
    recorded, raw, made, now = sides
    made = msgspec.structs.replace(made, engine_version=recorded.engine_version)
    if raw == now and made == recorded:
        return Compared(Verdict.MATCH)
    before, after = msgspec.to_builtins(recorded), msgspec.to_builtins(made)
    fields = tuple(_differing(before, after, ""))
    if not fields:
        return Compared(Verdict.DATA, (BYTES,))
    other = _answer(recorded.decision) != _answer(made.decision)
    return Compared(_verdict(recorded, made, fields, same_model), fields, other)


def _answer(decision: Decision) -> tuple[object, ...]:
    codes = tuple(reason.code for reason in decision.reasons)
    price = decision.price_tier, decision.apr_bps
    return decision.outcome, decision.approved_amount_fen, *price, *codes


def _verdict(recorded: Audit, made: Audit, fields: tuple[str, ...], same_model: bool) -> Verdict:
    """The first step that does not follow."""
    if any(map(_is_given, fields)) or _features_differ(recorded, made):
        return Verdict.DATA
    if (recorded.log_odds is None) != (made.log_odds is None):
        return _one_sided(recorded, made, same_model)
    if any(field.startswith(_SCORE) for field in fields):
        return Verdict.MODEL
    return Verdict.DATA if _rules_saw_other(recorded, made) else Verdict.RULE


def _is_given(field: str) -> bool:
    return field in _ECHOED or (field.startswith(_GIVEN) and not field.startswith(_SCORE))


def _features_differ(recorded: Audit, made: Audit) -> bool:
    """Whether a feature that both know has another value; other models ask for others."""
    shared = recorded.features.keys() & made.features.keys()
    return any(recorded.features[name] != made.features[name] for name in shared)


def _one_sided(recorded: Audit, made: Audit, same_model: bool) -> Verdict:
    """What kept one of the two from the model, where only the other has a score."""
    if not _same_policy(recorded, made):
        return Verdict.RULE
    first = _first_other_hit(recorded, made)
    if first is None:
        return Verdict.MODEL
    lacking = {hit.rule for hit in made.rules[first : first + 1]} & {"features", "model"}
    if lacking and not same_model:
        return Verdict.MODEL
    return Verdict.DATA if _rules_saw_other(recorded, made) else Verdict.RULE


def _rules_saw_other(recorded: Audit, made: Audit) -> bool:
    """Whether, under one policy, the first rule that differs saw other values.

    A rule that only one of them names passed in the other: it saw the same and concluded otherwise.
    """
    first = _first_other_hit(recorded, made)
    if first is None or not _same_policy(recorded, made):
        return False
    one, other = (audit.rules[first : first + 1] for audit in (recorded, made))
    if not one or not other or one[0].rule != other[0].rule:
        return False
    return one[0].values != other[0].values


def _first_other_hit(recorded: Audit, made: Audit) -> int | None:
    """Where the two trails part; None when they are the same."""
    pairs = zip(recorded.rules, made.rules, strict=False)
    parted = next((n for n, (one, other) in enumerate(pairs) if one != other), None)
    if parted is None and len(recorded.rules) != len(made.rules):
        return min(len(recorded.rules), len(made.rules))
    return parted


def _same_policy(recorded: Audit, made: Audit) -> bool:
    return recorded.decision.policy.sha256 == made.decision.policy.sha256


def _differing(one: Any, other: Any, path: str) -> Iterator[str]:  # noqa: ANN401
    """Paths of the fields that are not equal, in the order of the record."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            name = f"{path}.{key}" if path else key
            yield from _differing(one.get(key), other.get(key), name)
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        for index in range(max(len(one), len(other))):
            left, right = (part[index] if index < len(part) else None for part in (one, other))
            yield from _differing(left, right, f"{path}[{index}]")
    elif one != other:
        yield path
