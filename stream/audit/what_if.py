"""What another policy, or another model, would have made of decisions that are in the log.

The rules run again over what each decision followed from. A score is kept where
no other model is asked for; where one is, or the rules now let a case through to
a model it never met, it is scored now. Every decision is judged by itself, under
the standing it was recorded with: stops, exposure, and the breaker with its limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from stream.audit.plain import PlainRules
from stream.codec.decision_v1 import is_dead_letter_audit
from stream.codec.plain import plain_twin
from stream.domain.application import Application, Segment
from stream.domain.bureau import BureauFeatures
from stream.domain.control import Raised
from stream.domain.decision import Contribution
from stream.domain.instant import to_ms
from stream.domain.lineup import Alias
from stream.domain.reasons import ReasonCode
from stream.domain.whitelist import WhitelistEntry
from stream.limits import DECIDE_WITHIN_MS
from stream.lineup import Seat, scores_of
from stream.policy.model import Policy
from stream.policy.rules import (
    BreakerWindow,
    Case,
    Families,
    Score,
    Verdict,
    after_score,
    before_score,
)
from stream.policy.verdict import refer
from stream.ports import Scorer


class _Reason(msgspec.Struct, gc=False):
    code: str


class _Model(msgspec.Struct, gc=False):
    sha256: str


class _Decided(msgspec.Struct, gc=False):
    approved_amount_fen: int
    reasons: tuple[_Reason, ...]
    score_points: int | None
    pd: float | None
    model: _Model | None
    decided_at: str


class _Standing(msgspec.Struct, gc=False):
    store_age_ms: int
    exposure_fen: int = 0
    approved_count: int = 0
    approved_fen: int = 0
    approvals_max: int = 0
    amount_max_fen: int = 0
    cancelled: bool = False
    human_asked: bool = False
    revoked_at_ms: int | None = None
    stopped_by: str | None = None
    raised_points: int = 0
    tightened_by: str | None = None
    limited_by: str | None = None


class Logged(msgspec.Struct, gc=False):
    """The part of an audit record that rules and models ask for; the rest is not even read.

    Its records are twins: the shape of their texts was checked when they were decided.
    """

    decision: _Decided
    application: Application | None
    whitelist_entry: WhitelistEntry | None
    bureau: BureauFeatures | None
    standing: _Standing
    contributions: msgspec.Raw = msgspec.Raw(b"[]")
    """Read when a referral has to be explained."""


if TYPE_CHECKING:
    _Twin = Logged
else:
    _Twin = msgspec.defstruct(
        "_Twin",
        [
            ("decision", _Decided),
            ("application", plain_twin(Application) | None),
            ("whitelist_entry", plain_twin(WhitelistEntry) | None),
            ("bureau", plain_twin(BureauFeatures) | None),
            ("standing", _Standing),
            ("contributions", msgspec.Raw, msgspec.Raw(b"[]")),
        ],
        gc=False,
    )


class Side(NamedTuple):
    """One answer to an application; `reason` is the first one, empty where there is none."""

    amount_fen: int
    points: int | None
    pd: float | None
    reason: str

    @property
    def approved(self) -> bool:
        """Whether money was promised."""
        return self.amount_fen > 0


class Effect(NamedTuple):
    """One decision as it was and as it would have been; `rescored` when its score is a new one."""

    segment: Segment
    before: Side
    after: Side
    rescored: bool


class _Open(NamedTuple):
    """A case the rules have let through to a model."""

    place: int
    logged: Logged
    case: Case


_logged = msgspec.json.Decoder(_Twin)
_contributions = msgspec.json.Decoder(tuple[Contribution, ...])


def read(value: bytes) -> Logged | None:
    """A first-stage decision; None for a reviewer's answer or a dead letter.

    msgspec.DecodeError for anything else.
    """
    try:
        logged = _logged.decode(value)
    except msgspec.ValidationError:
        if is_dead_letter_audit(value):
            return None
        raise
    return logged if logged.application is not None else None


class WhatIf:
    """Decides logged applications under a policy and, where asked for, other models."""

    def __init__(
        self, policy: Policy, scorers: Mapping[str, Scorer], instead: frozenset[str] = frozenset()
    ) -> None:
        """`scorers` by model id; those named in `instead` score what another model had scored."""
        self._policy, self._plain = policy, PlainRules(policy)
        self._seats = {
            segment: Seat.of(Alias.CHAMPION, scorers[part.model])
            for segment, part in policy.segments.items()
        }
        self._instead = {s for s, part in policy.segments.items() if part.model in instead}

    def effects(self, logged: Sequence[Logged]) -> list[Effect | None]:
        """What becomes of each; None where there is no application to decide."""
        found: list[Effect | None] = [None] * len(logged)
        waiting: dict[Segment, list[_Open]] = {}
        for place, each in enumerate(logged):
            app = each.application
            if app is None:
                continue
            kept = self._keeps(app.segment, each)
            if kept and (plain := self._plainly(app, each)) is not None:
                found[place] = plain
                continue
            case = _case(app, each)
            verdict = before_score(case, self._policy, [])
            if verdict is not None:
                found[place] = _effect(each, app.segment, verdict, None)
            elif kept and (score := _recorded(each)) is not None:
                verdict = after_score(case, score, self._policy, [], _window(each.standing))
                found[place] = _effect(each, app.segment, verdict, score)
            else:
                waiting.setdefault(app.segment, []).append(_Open(place, each, case))
        for segment, cases in waiting.items():
            self._score(segment, cases, found)
        return found

    def _keeps(self, segment: Segment, logged: Logged) -> bool:
        """Whether the recorded score stands, if there is one, as no other model is to give it."""
        if segment not in self._instead:
            return True
        model, here = logged.decision.model, self._seats[segment].scorer.manifest_sha256
        return model is not None and model.sha256 == here

    def _plainly(self, app: Application, logged: Logged) -> Effect | None:
        """The effect on a case that is approved whatever else is asked of it."""
        decision = logged.decision
        points, pd = decision.score_points, decision.pd
        if points is None or pd is None or decision.model is None:
            return None
        answer = self._plain.approval(logged, points, pd)
        if answer is None:
            return None
        now = Side(answer.amount_fen, points, pd, answer.reason)
        return Effect(app.segment, _before(logged), now, rescored=False)

    def _score(self, segment: Segment, cases: Sequence[_Open], found: list[Effect | None]) -> None:
        """Score cases in one run of the model and settle them."""
        seat, asked, matrix = self._seats[segment], [], []
        for each in cases:
            features, lacking = seat.features(each.case)
            if lacking is None:
                asked.append(each)
                matrix.append(features)
            else:
                verdict = refer(self._policy, (ReasonCode.DATA_INCOMPLETE,))
                found[each.place] = _effect(each.logged, segment, verdict, None)
        scored = scores_of(seat, np.array(matrix, dtype=np.float32)) if asked else {}
        for index, each in enumerate(asked):
            made = scored.get(index)
            score = made.score if made is not None else None
            window = _window(each.logged.standing)
            verdict = after_score(each.case, score, self._policy, [], window)
            found[each.place] = _effect(each.logged, segment, verdict, score, rescored=True)


def _recorded(logged: Logged) -> Score | None:
    """The recorded score with its families."""
    decision = logged.decision
    points, pd = decision.score_points, decision.pd
    if decision.model is None or points is None or pd is None:
        return None
    given = _contributions.decode(logged.contributions)
    families = Families([e.family for e in given], [[e.centred for e in given]])
    return Score(points, pd, families)


def _case(app: Application, logged: Logged) -> Case:
    """The case as its rules met it."""
    standing, now_ms = logged.standing, to_ms(logged.decision.decided_at)
    submitted_ms = to_ms(app.submitted_at)
    return Case(
        app=app,
        entry=logged.whitelist_entry,
        bureau=logged.bureau,
        now_ms=now_ms,
        submitted_at_ms=submitted_ms,
        decide_by_ms=to_ms(app.decide_by) if app.decide_by else submitted_ms + DECIDE_WITHIN_MS,
        store_age_ms=standing.store_age_ms,
        exposure_fen=standing.exposure_fen,
        stopped_by=standing.stopped_by,
        cancelled=standing.cancelled,
        human_asked=standing.human_asked,
        revoked_at_ms=standing.revoked_at_ms,
        raised=Raised(standing.raised_points, standing.tightened_by)
        if standing.tightened_by is not None
        else None,
    )


def _window(standing: _Standing) -> BreakerWindow:
    return BreakerWindow(
        standing.approved_count,
        standing.approved_fen,
        standing.approvals_max,
        standing.amount_max_fen,
        standing.limited_by,
    )


def _effect(
    logged: Logged,
    segment: Segment,
    verdict: Verdict,
    score: Score | None,
    *,
    rescored: bool = False,
) -> Effect:
    points, pd = (score.points, score.pd) if score is not None else (None, None)
    now = verdict.reasons[0].value if verdict.reasons else ""
    after = Side(verdict.approved_amount_fen, points, pd, now)
    return Effect(segment, _before(logged), after, rescored)


def _before(logged: Logged) -> Side:
    decision = logged.decision
    was = decision.reasons[0].code if decision.reasons else ""
    return Side(decision.approved_amount_fen, decision.score_points, decision.pd, was)
