"""Decide again from the audit record alone, with the engine's own pipeline, and compare.

Policy and models are found by the hash stamped on the decision; under another
hash nothing is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from stream.audit.again import decide_again
from stream.codec.decision_v1 import DEAD_LETTER_AUDITED, decode_audit
from stream.domain.decision import Audit, Decision
from stream.domain.topics import AUDIT
from stream.pipeline import Pipeline
from stream.policy.model import Policy
from stream.ports import Scorers


class Verdict(StrEnum):
    """What came of deciding one record again."""

    IDENTICAL = "identical"
    DIFFERENT = "different"
    OTHER_POLICY = "other policy"
    OTHER_MODEL = "other model"
    UNREADABLE = "unreadable"
    NOT_A_DECISION = "not a decision"


class Replayed(NamedTuple):
    """The verdict on one record; `fields` names what differs, values never."""

    verdict: Verdict
    application_id: str = ""
    fields: tuple[str, ...] = ()
    detail: str = ""


class _Recorded(msgspec.Struct):
    """The decision inside an audit record, byte for byte."""

    decision: msgspec.Raw


_recorded = msgspec.json.Decoder(_Recorded)


class Replayer:
    """Decides audit records again under one policy and one set of models."""

    def __init__(self, scorers: Scorers, policy: Policy) -> None:
        """Pair policy and models as the engine does; KeyError names a missing model."""
        self._policy = policy
        self._pipeline = Pipeline(scorers, policy)
        self._models = {each.manifest.onnx_sha256 for each in scorers.values()}

    def replay(self, value: bytes, ce_type: str | None = None) -> Replayed:
        """One record of `decision.audit`, decided again and compared byte for byte."""
        if ce_type == DEAD_LETTER_AUDITED:
            return Replayed(Verdict.NOT_A_DECISION)
        try:
            audit, recorded = decode_audit(value), bytes(_recorded.decode(value).decision)
            foreign = self._foreign(audit.decision)
            again = foreign or self._again(audit)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, KeyError) as error:
            return Replayed(Verdict.UNREADABLE, detail=type(error).__name__)
        if isinstance(again, Replayed):
            return again
        return _compared(audit, recorded, again)

    def _foreign(self, decision: Decision) -> Replayed | None:
        """Why the decision cannot be made again here, if so."""
        name, used = decision.application_id, decision.policy.sha256
        if used != self._policy.sha256:
            detail = f"decided under policy {used[:16]}, this is {self._policy.sha256[:16]}"
            return Replayed(Verdict.OTHER_POLICY, name, detail=detail)
        model = decision.model
        if model is not None and model.sha256 not in self._models:
            detail = f"scored by {model.model_id} {model.version}, {model.sha256[:16]}"
            return Replayed(Verdict.OTHER_MODEL, name, detail=detail)
        return None

    def _again(self, audit: Audit) -> tuple[bytes, Audit] | Replayed:
        """The decision made again and its audit record."""
        name = audit.decision.application_id
        batch = decide_again(self._pipeline, audit)
        if batch is None:
            return Replayed(Verdict.UNREADABLE, name, detail="neither application nor answer")
        value = next((out.value for out in batch.outputs if out.topic == AUDIT), None)
        if not batch.audits or value is None:
            buried = ", ".join(error.field for _, error in batch.buried)
            fields = ("decision",)
            detail = f"set aside now: {buried}" if buried else "not decided now"
            return Replayed(Verdict.DIFFERENT, name, fields, detail)
        return bytes(_recorded.decode(value).decision), batch.audits[0][1]


def _compared(audit: Audit, recorded: bytes, again: tuple[bytes, Audit]) -> Replayed:
    name = audit.decision.application_id
    now, made = again
    # The decision is compared as bytes; what it followed from, whichever release writes it.
    same = msgspec.structs.replace(made, engine_version=audit.engine_version)
    if now == recorded and same == audit:
        return Replayed(Verdict.IDENTICAL, name)
    before, after = msgspec.to_builtins(audit), msgspec.to_builtins(same)
    fields = tuple(_differing(before, after, "")) or ("the decision's bytes",)
    return Replayed(Verdict.DIFFERENT, name, fields)


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
