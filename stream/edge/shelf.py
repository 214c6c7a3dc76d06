"""The models of one process: those it started with, and those that commands name.

Models are loaded beside the loop, one at a time and in the order asked for. What
cannot be loaded is refused with the reason, and what stood before goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from prometheus_client import Gauge

from stream.codec.signatures import Trusted
from stream.domain.control import Placed, Switches
from stream.domain.lineup import Alias, Aliases, ModelChange, order
from stream.edge.onnx_scorer import OnnxScorer
from stream.errors import ModelError
from stream.lineup import Lineup, Trial

_Key = tuple[str, str, str]
"""Model id, version, hash of the manifest."""


class Loaded(NamedTuple):
    """What came of loading the model that a command names; no fault when it stands ready."""

    placed: Placed
    fault: ModelError | None


class ModelShelf:
    """Loads, keeps and hands out the models of one worker."""

    def __init__(
        self, models_dir: Path, trusted: Trusted, base: Mapping[str, OnnxScorer], info: Gauge
    ) -> None:
        """`base` are the champions that stand until a command says otherwise, by model id."""
        self._models_dir, self._trusted, self._base = models_dir, trusted, dict(base)
        self._info, self._shown = info, set[tuple[str, str]]()
        self._loaded: dict[_Key, OnnxScorer] = {}
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="models")
        self._waiting: deque[tuple[Placed, Future[OnnxScorer]]] = deque()

    def ask(self, placed: Placed) -> None:
        """Begin to load what a command names."""
        command = placed.command
        if command.model is None or command.name not in self._base:
            raise AssertionError("only a command on a model we have names one")
        self._waiting.append((placed, self._pool.submit(self._load, command.name, command.model)))

    def next(self, switches: Switches | None, *, wait: bool = False) -> Loaded | None:
        """The next that has been loaded or refused, in the order asked for; None for none yet.

        A version older than the champion that `switches` has in force is refused here;
        without switches nothing is in force yet. One at a time: whether the one
        after it may stand depends on what became of this.
        """
        if not self._waiting or not (wait or self._waiting[0][1].done()):
            return None
        placed, future = self._waiting.popleft()
        return Loaded(placed, self._keep(placed, future, switches))

    def lineup(self, model_id: str, aliases: Aliases) -> Lineup:
        """The line-up of a model under these aliases."""
        champion = self._champion(model_id, aliases)
        trial = aliases.challenger
        challenger = self._named(model_id, trial)
        drawn = None
        # A challenger that was promoted is tried no longer.
        if trial is not None and challenger is not None and challenger is not champion:
            drawn = Trial(challenger, trial.share_bps or 0, trial.salt or "")
        shadow = self._named(model_id, aliases.shadow)
        return Lineup(champion, drawn, shadow if shadow is not champion else None, told=True)

    def fall_back(self, model_id: str, version: str) -> None:
        """Let this version be the champion until a command says otherwise; ModelError if it cannot.

        For a worker that starts and cannot have the champion in force.
        """
        self._base[model_id] = self._open(model_id, version)

    def settle(self, switches: Switches) -> None:
        """Let go of what no alias names any more, and say in the metrics who stands somewhere."""
        named = {
            (model_id, change.version, change.manifest_sha256)
            for model_id in self._base
            for change in switches.aliases(model_id)
            if change is not None
        }
        self._loaded = {key: each for key, each in self._loaded.items() if key in named}
        standing = {
            (model_id, seat.scorer.manifest.version)
            for model_id in self._base
            for seat in self.lineup(model_id, switches.aliases(model_id)).seats
        }
        for labels in standing | self._shown:
            self._info.labels(*labels).set(labels in standing)
        self._shown = standing

    def close(self) -> None:
        """Load nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _champion(self, model_id: str, aliases: Aliases) -> OnnxScorer:
        return self._named(model_id, aliases.champion) or self._base[model_id]

    def _named(self, model_id: str, change: ModelChange | None) -> OnnxScorer | None:
        if change is None or change.version is None:
            return None
        base = self._base[model_id]
        if change.manifest_sha256 == base.manifest_sha256:
            return base
        return self._loaded[_key(model_id, change)]

    def _load(self, model_id: str, change: ModelChange) -> OnnxScorer:
        """The scorer that a change names, checked to be that very release."""
        base = self._base[model_id]
        if change.manifest_sha256 == base.manifest_sha256:
            return base
        scorer = self._open(model_id, change.version or "")
        if scorer.manifest_sha256 != change.manifest_sha256:
            raise ModelError(
                f"{model_id} {change.version}: is another release than the one that was signed for",
                fix="put the same folder on every host, then give the command again",
            )
        return scorer

    def _open(self, model_id: str, version: str) -> OnnxScorer:
        scorer = OnnxScorer(self._models_dir / model_id / version, self._trusted)
        found, base = scorer.manifest, self._base[model_id].manifest
        if (found.model_id, found.version, found.segment) != (model_id, version, base.segment):
            raise ModelError(
                f"{model_id}/{version}: holds {found.model_id} {found.version} for "
                f"{found.segment.value}",
                fix="put each model where it belongs: tenminute model push",
            )
        return scorer

    def _keep(
        self, placed: Placed, future: Future[OnnxScorer], switches: Switches | None
    ) -> ModelError | None:
        command = placed.command
        change = command.model
        if change is None:
            raise AssertionError("only a model's command is asked for")
        try:
            scorer = future.result()
            if switches is not None and change.alias is Alias.CHAMPION:
                stands = self._champion(command.name, switches.aliases(command.name))
                _check_succession(scorer, stands, change)
        except ModelError as fault:
            return fault
        self._loaded[_key(command.name, change)] = scorer
        return None


def _check_succession(scorer: OnnxScorer, stands: OnnxScorer, change: ModelChange) -> None:
    """ModelError where a champion would go back unasked, or be another under the same version."""
    to, of = scorer.manifest, stands.manifest
    if order(to.version) < order(of.version) and not change.rollback:
        raise ModelError(
            f"{to.model_id} {to.version}: older than {of.version} in force",
            fix="to go back on purpose: tenminute model rollback",
        )
    if to.version == of.version and scorer.manifest_sha256 != stands.manifest_sha256:
        raise ModelError(
            f"{to.model_id} {to.version}: is in force with other content",
            fix="give what has changed a version of its own",
        )


def _key(model_id: str, change: ModelChange) -> _Key:
    return model_id, change.version or "", change.manifest_sha256 or ""
