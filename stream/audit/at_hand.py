"""The policies and models at hand, and the pipeline of those that a record was decided under.

What a record names and is not there is replaced by what is in force, and said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stream.domain.decision import Audit, ModelInForce
from stream.domain.lineup import Alias
from stream.lineup import Lineup, Trial
from stream.pipeline import Pipeline
from stream.policy.model import Policy
from stream.ports import Scorer, Scorers


class Older(NamedTuple):
    """Policies and models that once decided, by their SHA-256."""

    policies: Mapping[str, Policy]
    models: Mapping[str, Scorer]


class Wanted(NamedTuple):
    """What a record was decided under; its model where it has one and no line-up."""

    policy: str
    segment: str
    models: tuple[ModelInForce, ...]
    model: str | None

    @classmethod
    def of(cls, audit: Audit) -> Wanted:
        """As the record names them."""
        decision, models = audit.decision, audit.standing.models
        used = decision.model.sha256 if decision.model and not models else None
        return cls(decision.policy.sha256, decision.segment, models, used)


class Ready(NamedTuple):
    """The pipeline for what is wanted, its policy, and what of it is not at hand."""

    pipeline: Pipeline
    policy: Policy
    same_model: bool
    lacking: str


class AtHand:
    """Makes the pipelines of what records name, each once."""

    def __init__(self, scorers: Scorers, policy: Policy, older: Older | None = None) -> None:
        """`scorers` and `policy` are in force; KeyError names a model the policy lacks."""
        known = older or Older({}, {})
        self._scorers, self._policy = scorers, policy
        self._policies = {**known.policies, policy.sha256: policy}
        in_force = {each.manifest_sha256: each for each in scorers.values()}
        self._models = {**known.models, **in_force}
        self._ready: dict[Wanted, Ready] = {}
        Pipeline(scorers, policy)

    def ready(self, wanted: Wanted) -> Ready:
        """The pipeline under which a record was decided, as far as it is at hand."""
        if wanted not in self._ready:
            self._ready[wanted] = self._make_ready(wanted)
        return self._ready[wanted]

    def _make_ready(self, wanted: Wanted) -> Ready:
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
        return Ready(Pipeline(scorers, policy), policy, not missing, detail)

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
