"""Decide again from the audit records alone, with the engine's own pipeline, and compare.

Each record is decided under the policy and the models it names, where they are at
hand, and otherwise under those in force.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from stream.audit.again import Again, decide_again
from stream.audit.at_hand import AtHand, Ready, Wanted
from stream.audit.verdict import Sides, Verdict, compare
from stream.codec.decision_v1 import decision_audit
from stream.domain.decision import Audit

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


class _Recorded(msgspec.Struct):
    """The decision inside an audit record, byte for byte."""

    decision: msgspec.Raw


class _Case(NamedTuple):
    """A record read: where it stood, what it says, its bytes."""

    place: int
    audit: Audit
    value: bytes


_recorded = msgspec.json.Decoder(_Recorded)


class Replayer:
    """Decides audit records again."""

    def __init__(self, at_hand: AtHand) -> None:
        """`at_hand` are the policies and models that records may name."""
        self._at_hand = at_hand

    def replay(self, value: bytes) -> Replayed:
        """One record of `decision.audit`, decided again and compared byte for byte."""
        return self.replay_all([value])[0]

    def replay_all(self, values: Sequence[bytes]) -> list[Replayed]:
        """Records, decided again together where that changes nothing.

        Which of the two kinds one is, its value tells: no header is in the chain.
        """
        found: list[Replayed] = []
        groups: dict[Wanted, list[_Case]] = {}
        for index, value in enumerate(values):
            found.append(Replayed(Verdict.NOT_A_DECISION))
            try:
                audit = decision_audit(value)
            except _ODD as error:
                found[index] = Replayed(Verdict.UNREADABLE, detail=type(error).__name__)
                continue
            if audit is not None:
                groups.setdefault(Wanted.of(audit), []).append(_Case(index, audit, value))
        for wanted, cases in groups.items():
            ready = self._at_hand.ready(wanted)
            for case, replayed in zip(cases, _replayed(ready, cases), strict=True):
                found[case.place] = replayed
        return found


def _replayed(ready: Ready, cases: Sequence[_Case]) -> list[Replayed]:
    """All cases together; one by one when one of them is no record of an engine."""
    try:
        again = decide_again(ready.pipeline, [case.audit for case in cases])
    except _ODD as error:
        if len(cases) > 1:
            return [_replayed(ready, [case])[0] for case in cases]
        name = cases[0].audit.decision.application_id
        return [Replayed(Verdict.UNREADABLE, name, detail=type(error).__name__)]
    return [_told(ready, case, made) for case, made in zip(cases, again, strict=True)]


def _told(ready: Ready, case: _Case, again: Again | None) -> Replayed:
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
