"""Decide again from the audit records alone, with the engine's own pipeline, and compare.

Each record is decided under the policy and the models it names, where they are at
hand, and otherwise under those in force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from stream.audit.again import Again, decide_again
from stream.audit.verdict import Sides, Verdict, compare
from stream.codec.decision_v1 import decode_audit, is_dead_letter_audit
from stream.domain.decision import Audit, ModelInForce
from stream.domain.lineup import Alias
from stream.lineup import Lineup, Trial
from stream.pipeline import Pipeline
from stream.policy.model import Policy
from stream.ports import Scorer, Scorers

_ODD = (msgspec.DecodeError, UnicodeDecodeError, ValueError, KeyError, ArithmeticError)
"""What a record raises that no engine wrote."""


class Replayed(NamedTuple):
    """The verdict on one record; `fields` names what differs, values never."""

    verdict: Verdict
    application_id: str = ""
    fields: tuple[str, ...] = ()
    detail: str = ""
    other_answer: bool = False
    """Whether outcome, amount, price or reasons differ."""


class Older(NamedTuple):
    """Policies and models that once decided, by their SHA-256."""

    policies: Mapping[str, Policy]
    models: Mapping[str, Scorer]


class _Recorded(msgspec.Struct):
    """The decision inside an audit record, byte for byte."""

    decision: msgspec.Raw


class _Wanted(NamedTuple):
    """What a record was decided under; its model where it has one and no line-up."""

    policy: str
    segment: str
    models: tuple[ModelInForce, ...]
    model: str | None

    @classmethod
    def of(cls, audit: Audit) -> _Wanted:
        decision, models = audit.decision, audit.standing.models
        used = decision.model.sha256 if decision.model and not models else None
        return cls(decision.policy.sha256, decision.segment, models, used)


class _Ready(NamedTuple):
    """The pipeline for what is wanted, and what of it is not at hand."""

    pipeline: Pipeline
    same_model: bool
    lacking: str


class _Case(NamedTuple):
    """A record read: where it stood, what it says, its bytes."""

    place: int
    audit: Audit
    value: bytes


_recorded = msgspec.json.Decoder(_Recorded)


class Replayer:
    """Decides audit records again."""

    def __init__(self, scorers: Scorers, policy: Policy, older: Older | None = None) -> None:
        """`scorers` and `policy` are in force; KeyError names a model the policy lacks."""
        known = older or Older({}, {})
        self._scorers, self._policy = scorers, policy
        self._policies = {**known.policies, policy.sha256: policy}
        in_force = {each.manifest.onnx_sha256: each for each in scorers.values()}
        self._models = {**known.models, **in_force}
        self._ready: dict[_Wanted, _Ready] = {}
        Pipeline(scorers, policy)

    def replay(self, value: bytes) -> Replayed:
        """One record of `decision.audit`, decided again and compared byte for byte."""
        return self.replay_all([value])[0]

    def replay_all(self, values: Sequence[bytes]) -> list[Replayed]:
        """Records, decided again together where that changes nothing.

        Which of the two kinds one is, its value tells: no header is in the chain.
        """
        found: list[Replayed] = []
        groups: dict[_Wanted, list[_Case]] = {}
        for index, value in enumerate(values):
            found.append(Replayed(Verdict.NOT_A_DECISION))
            try:
                audit = decode_audit(value)
            except _ODD as error:
                if not is_dead_letter_audit(value):
                    found[index] = Replayed(Verdict.UNREADABLE, detail=type(error).__name__)
            else:
                groups.setdefault(_Wanted.of(audit), []).append(_Case(index, audit, value))
        for wanted, cases in groups.items():
            ready = self._ready.get(wanted) or self._make_ready(wanted)
            for case, replayed in zip(cases, _replayed(ready, cases), strict=True):
                found[case.place] = replayed
        return found

    def _make_ready(self, wanted: _Wanted) -> _Ready:
        policy = self._policies.get(wanted.policy, self._policy)
        lacking = [] if wanted.policy in self._policies else [f"policy {wanted.policy[:16]}"]
        scorers: dict[str, Scorer | Lineup] = dict(self._scorers)
        named = {each.sha256: each.version for each in wanted.models}
        if wanted.model is not None:
            named[wanted.model] = ""
        missing = [sha256 for sha256 in named if sha256 not in self._models]
        lacking += [f"model {named[sha256]} {sha256[:16]}".replace("  ", " ") for sha256 in missing]
        model_id = next(p.model for s, p in policy.segments.items() if s == wanted.segment)
        if not missing and wanted.models:
            scorers[model_id] = self._lineup(wanted.models)
        elif not missing and wanted.model is not None:
            scorers[model_id] = self._models[wanted.model]
        detail = f"{', '.join(lacking)} not at hand" if lacking else ""
        ready = _Ready(Pipeline(scorers, policy), not missing, detail)
        self._ready[wanted] = ready
        return ready

    def _lineup(self, models: Sequence[ModelInForce]) -> Lineup:
        """The line-up that a record tells of."""
        placed = {each.alias: (self._models[each.sha256], each) for each in models}
        champion, _ = placed[Alias.CHAMPION]
        trial = None
        if Alias.CHALLENGER in placed:
            scorer, told = placed[Alias.CHALLENGER]
            trial = Trial(scorer, told.share_bps, told.salt)
        shadow = placed[Alias.SHADOW][0] if Alias.SHADOW in placed else None
        return Lineup(champion, trial, shadow, told=True)


def _replayed(ready: _Ready, cases: Sequence[_Case]) -> list[Replayed]:
    """All cases together; one by one when one of them is no record of an engine."""
    try:
        again = decide_again(ready.pipeline, [case.audit for case in cases])
    except _ODD as error:
        if len(cases) > 1:
            return [_replayed(ready, [case])[0] for case in cases]
        name = cases[0].audit.decision.application_id
        return [Replayed(Verdict.UNREADABLE, name, detail=type(error).__name__)]
    return [_told(ready, case, made) for case, made in zip(cases, again, strict=True)]


def _told(ready: _Ready, case: _Case, again: Again | None) -> Replayed:
    name = case.audit.decision.application_id
    if again is None:
        return Replayed(Verdict.UNREADABLE, name, detail="neither application nor answer")
    if again.audit is None:
        detail = f"set aside now: {again.set_aside}"
        return Replayed(Verdict.DATA, name, ("decision",), detail, other_answer=True)
    if again.value == case.value:
        return Replayed(Verdict.MATCH, name)
    raw = bytes(_recorded.decode(case.value).decision)
    sides = Sides(case.audit, raw, again.audit, again.decision)
    found = compare(sides, same_model=ready.same_model)
    detail = "" if found.verdict is Verdict.MATCH else ready.lacking
    return Replayed(found.verdict, name, found.fields, detail, found.other_answer)
