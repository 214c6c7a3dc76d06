"""The engine as it is shipped, under its own supervisor: for what must not make that give up."""

from __future__ import annotations

import os

from chaos.engine import Engine

from stream.config import as_environment
from stream.obs.health import Health, read_health

SUPERVISOR = "engine"


class Shipped(Engine):
    """`tenminute engine`; its workers are known by what they say of their health."""

    def start(self, *, wait: bool = True) -> None:
        """Start the supervisor, which starts the rest."""
        self.launch(SUPERVISOR)
        self.watch()
        if wait:
            self.await_ready(self.workers)

    def launch(self, name: str) -> None:  # type: ignore[override]
        """Start the supervisor."""
        given = self.settings.model_copy(update={"workers": len(self.workers)})
        self.spawn(name, ["stream", "engine"], {**os.environ, **as_environment(given)})

    def pid(self, name: str) -> int:
        """Process id of a worker, as it says itself; 0 before it has said anything."""
        return next((health.pid for health in self._said(name)), 0)

    def alive(self, name: str) -> bool:
        """Whether the supervisor has not given up; it restarts whatever ends below it."""
        del name
        return super().alive(SUPERVISOR)

    def _said(self, name: str) -> list[Health]:
        try:
            return [h for h in read_health(self.settings.health_dir) if h.process == name]
        except FileNotFoundError:  # replaced between listing and reading
            return []
