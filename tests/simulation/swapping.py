"""Models that change with every batch: the simulation's workers under ever new switches."""

from __future__ import annotations

import msgspec
from control_cases import command
from policy_cases import POLICY
from simulation.engine import FlatScorer
from simulation.world import Parts

from stream.config import Settings
from stream.domain.control import Switches
from stream.domain.instant import from_ms
from stream.domain.lineup import Aliases
from stream.edge.onnx_scorer import load_models
from stream.lineup import Lineup
from stream.pipeline import Decides
from stream.ports import Scorer
from stream.switching import SwitchingPipeline

VERSIONS = ("1.0.0", "2.0.0", "3.0.0")
_FIRST_MS = 1_764_000_000_000


class Swapping(Parts):
    """A promote command of every model before each batch, and the pipeline that obeys them."""

    def __init__(self) -> None:
        shipped = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
        self._scorers: dict[tuple[str, str], Scorer] = {
            (name, version): FlatScorer(
                msgspec.structs.replace(each.manifest, version=version),
                f"{len(name)}{at}".zfill(64),
            )
            for name, each in shipped.items()
            for at, version in enumerate(VERSIONS)
        }
        self._pipeline = SwitchingPipeline(self, POLICY)
        self._models = sorted(shipped)
        self.swaps = 0
        self.promised: dict[int, str] = {}
        """By the version of the switches, the version of the models that they put in force."""

    def switches(self) -> Switches:
        """The next ones; as the worker asks before each batch, no two batches have the same."""
        self.swaps += 1
        version = VERSIONS[self.swaps % len(VERSIONS)]
        found = Switches()
        for at, model in enumerate(self._models):
            found = found.with_command(
                command(
                    action="model", scope="model", name=model,
                    model={
                        "alias": "champion", "version": version, "manifest_sha256": "0" * 64,
                        "replaces": VERSIONS[0], "replaces_sha256": "0" * 64,
                    },
                    issued_at=from_ms(_FIRST_MS + self.swaps),
                ),
                self.swaps * len(self._models) + at,
            )  # fmt: skip
        self.promised[found.version] = version
        return found

    def lineup(self, model_id: str, aliases: Aliases) -> Lineup:
        """As a shelf that has every version."""
        change = aliases.champion
        if change is None or change.version is None:
            raise AssertionError("each model is promoted before the first batch")
        return Lineup(self._scorers[model_id, change.version], told=True)

    def pipeline(self) -> Decides:
        """The engine's own."""
        return self._pipeline
