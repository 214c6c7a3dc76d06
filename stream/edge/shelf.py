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
from stream.domain.lineup import Alias, Aliases, ModelChange, Pin
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

    def base(self, model_id: str) -> Pin:
        """The champion while no command names one."""
        return _pin(self._base[model_id])

    def ask(self, placed: Placed) -> None:
        """Begin to load what a command names."""
        command = placed.command
        if command.model is None or command.name not in self._base:
            raise AssertionError("only a command on a model we have names one")
        self._waiting.append(
            (placed, self._pool.submit(self._pinned, command.name, command.model.pin))
        )

    def next(self, switches: Switches, *, wait: bool = False) -> Loaded | None:
        """The next that has been loaded or refused, in the order asked for; None for none yet.

        A challenger to another champion than stands here by `switches` is refused. One at a
        time: whether the one after it may stand depends on what became of this.
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

    def fall_back(self, model_id: str, pin: Pin) -> None:
        """Let this very release be the champion until a command says otherwise.

        For a worker that starts and cannot have the champion in force; ModelError if it
        cannot have this one either.
        """
        self._base[model_id] = self._pinned(model_id, pin)

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
        return base if change.pin == _pin(base) else self._loaded[_key(model_id, change)]

    def _pinned(self, model_id: str, pin: Pin) -> OnnxScorer:
        """The scorer of a release, checked to be that very one."""
        base = self._base[model_id]
        if pin == _pin(base):
            return base
        scorer = self._open(model_id, pin.version)
        if scorer.manifest_sha256 != pin.manifest_sha256:
            raise ModelError(
                f"{model_id} {pin.version}: is another release than the one that was signed for",
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
        self, placed: Placed, future: Future[OnnxScorer], switches: Switches
    ) -> ModelError | None:
        command = placed.command
        change = command.model
        if change is None:
            raise AssertionError("only a model's command is asked for")
        try:
            scorer = future.result()
            if change.alias is Alias.CHALLENGER:
                stands = self._champion(command.name, switches.aliases(command.name))
                _check_rival(change, stands)
        except ModelError as fault:
            return fault
        self._loaded[_key(command.name, change)] = scorer
        return None


def _check_rival(change: ModelChange, stands: OnnxScorer) -> None:
    """ModelError where a challenger was meant for another champion than stands on this host."""
    if change.replaced != _pin(stands):
        found = stands.manifest
        raise ModelError(
            f"{found.model_id} {change.version}: to challenge {change.replaces}, and here stands "
            f"{found.version} {stands.manifest_sha256[:12]}",
            fix="make this host's champion the others', or give the command anew",
        )


def _pin(scorer: OnnxScorer) -> Pin:
    return Pin(scorer.manifest.version, scorer.manifest_sha256)


def _key(model_id: str, change: ModelChange) -> _Key:
    return model_id, change.version or "", change.manifest_sha256 or ""
