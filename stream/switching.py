"""The pipeline that follows the switches: each batch is decided by the models in force for it.

A batch carries its switches, and they alone say which version stands where. So
a swap happens between two batches and never within one: there is nothing to
remember to lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from stream.batch import Batch
from stream.codec.seal import Sealer
from stream.domain.draft import Draft
from stream.domain.lineup import Aliases
from stream.lineup import Lineup
from stream.pipeline import Circumstances, Pipeline
from stream.policy.model import Policy
from stream.ports import Record


class Shelf(Protocol):
    """Where loaded models stand."""

    def lineup(self, model_id: str, aliases: Aliases) -> Lineup:
        """The line-up of a model; all that the aliases name is loaded."""
        ...


class SwitchingPipeline:
    """Decides batches with one policy and whichever models each batch's switches name."""

    def __init__(self, shelf: Shelf, policy: Policy, sealer: Sealer | None = None) -> None:
        """No model is asked for before the first batch."""
        self._shelf, self._policy, self._sealer = shelf, policy, sealer
        self._models = policy.models
        self._made: tuple[list[Aliases], Pipeline] | None = None

    def run(
        self,
        records: Sequence[Record],
        drafts: Mapping[int, Draft],
        under: Circumstances,
        mark: Callable[[str], None],
    ) -> Batch:
        """Decide the batch under the models that its switches name."""
        wanted = [under.switches.aliases(model) for model in self._models]
        if self._made is None or self._made[0] != wanted:
            named = zip(self._models, wanted, strict=True)
            lineups = {model: self._shelf.lineup(model, aliases) for model, aliases in named}
            self._made = wanted, Pipeline(lineups, self._policy, self._sealer)
        return self._made[1].run(records, drafts, under, mark)
