"""What else a worker needs: the real pipeline with a cheap model, views, clock and a watcher."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import cast

import numpy as np
from policy_cases import POLICY
from simulation.kernel import Kernel, Process
from simulation.snapshots import SimSnapshots, SimTies
from simulation.workload import ENTRIES, REPORTS, segment_at

from stream.batch import Batch
from stream.config import Settings
from stream.domain.bureau import BureauFeatures
from stream.domain.ledger import Ledger
from stream.domain.whitelist import WhitelistEntry
from stream.edge.onnx_scorer import load_models
from stream.edge.watch import EngineWatcher
from stream.errors import TenMinuteError, TransactionError
from stream.limits import SNAPSHOT_DECISIONS
from stream.pipeline import Pipeline
from stream.ports import FloatMatrix, Positions, Views
from stream.scoring.manifest import Manifest
from stream.worker import Worker


class FlatScorer:
    """The same good score for everyone, under a shipped model's manifest."""

    def __init__(self, manifest: Manifest, sha256: str) -> None:
        self.manifest, self.manifest_sha256 = manifest, sha256

    def score(self, rows: FloatMatrix) -> FloatMatrix:
        """Log-odds of minus four: far above any cut-off."""
        outputs = np.zeros((len(rows), len(self.manifest.outputs)), dtype=np.float32)
        outputs[:, -1] = -4.0
        return outputs


@cache
def pipeline() -> Pipeline:
    """The shipped policy over flat scorers; made once, it holds nothing of a run."""
    models = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
    flat = {name: FlatScorer(each.manifest, each.manifest_sha256) for name, each in models.items()}
    return Pipeline(flat, POLICY)


class SimViews:
    """Offers and reports of the simulation's people, always fresh."""

    def __init__(self, fresh_at_ms: int) -> None:
        self.fresh_at_ms = fresh_at_ms

    def whitelist(self, applicant_token: str) -> WhitelistEntry | None:
        """The offer of the moment: everybody's moves from one segment to another and back."""
        return ENTRIES.get((applicant_token, segment_at(self.fresh_at_ms)))

    def bureau(self, applicant_token: str) -> BureauFeatures | None:
        """The report."""
        return REPORTS.get(applicant_token)


class SimStore:
    """A store that is never behind."""

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms

    @contextmanager
    def reading(self) -> Iterator[Views]:
        """A view as of now."""
        yield SimViews(self._wall_ms())


class Clock:
    """Virtual time as a worker sees it; only the wall clock jumps."""

    def __init__(
        self, process: Process, wall_ms: Callable[[], int], stopping: Callable[[], bool]
    ) -> None:
        self._process, self._wall_ms, self._stopping = process, wall_ms, stopping

    def now_ms(self) -> int:
        """Wall clock."""
        return self._wall_ms()

    def seconds(self) -> float:
        """Monotonic."""
        return self._process.kernel.now_ms / 1_000

    def left(self) -> float:
        """Nobody waits for a worker here; what a broker owes it ends by itself."""
        return math.inf

    def leaving(self) -> AbstractContextManager[None]:
        """As `left`."""
        return nullcontext()

    def sleep(self, seconds: float) -> None:
        """In slices, so that being told to stop cuts it short."""
        for _ in range(max(1, int(seconds * 5))):
            if self._stopping():
                return
            self._process.pause(200)


class OftenKept(Worker):
    """The loop, but snapshots are due every few decisions and not every 200,000."""

    every = 0
    """Decisions between two; 0 for only when partitions are given up."""

    def step(self) -> None:
        """Once round."""
        if self.every and self._since_quiet >= self.every:
            self._since_quiet = SNAPSHOT_DECISIONS
        super().step()


class _Log:
    """What the real watcher would log is counted."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count

    def warning(self, event: str, **_: object) -> None:
        """A snapshot that was not kept."""
        self._count(event)


class Seeing:
    """A watcher that counts which ways through the loop were taken, and keeps snapshots."""

    def __init__(self, kernel: Kernel, name: str, snapshots: SimSnapshots, ties: SimTies) -> None:
        self._kernel, self._name = kernel, name
        self._snapshots, self._ties, self._log = snapshots, ties, _Log(self._count)

    def _count(self, what: str) -> None:
        self._kernel.count(f"loop: {what}")
        self._kernel.note(self._name, what)

    def mark(self, stage: str) -> None:
        """Not of interest."""

    def decided(self, batch: Batch, now_ms: int) -> None:
        """Not of interest."""

    def committed(self, batch: Batch) -> None:
        """A batch has landed."""
        self._count("batch committed")
        for what, many in (
            ("stray sent on", batch.strays),
            ("duplicate passed over", batch.duplicates),
            ("event heard", batch.events),
            ("dead letter", batch.buried),
        ):
            if many:
                self._count(what)

    def failed(self, error: TransactionError) -> None:
        """One way of recovering."""
        self._count(f"recovery: {error.remedy.value}, {error.cause}")

    def still_failing(self, error: TenMinuteError) -> None:
        """Recovery tried again."""
        self._count("recovery tried again")

    def restoring(self, *, moved: bool) -> None:
        """A restore took long enough to serve the group."""
        self._count("group served while restoring")

    def held(self, partitions: Sequence[int], error: TransactionError) -> None:
        """Standing still."""
        self._count("partitions held")

    def assigned(self, ledgers: Mapping[int, Ledger]) -> None:
        """Partitions came."""
        self._count("assigned with ledger" if any(map(len, ledgers.values())) else "assigned")

    def quiet(self, ledgers: Mapping[int, Ledger], positions: Positions) -> None:
        """A moment for snapshots, used as the real watcher uses it."""
        self._count("quiet")
        EngineWatcher.quiet(cast("EngineWatcher", self), ledgers, positions)

    def dropped(self, left: Mapping[int, Ledger]) -> None:
        """Partitions went."""
        self._count("dropped")

    def went_round(
        self, ledgers: Mapping[int, Ledger], *, idle: bool, holding: bool, member: bool
    ) -> None:
        """Too often to note."""

    def draining(self) -> None:
        """Told to stop."""
        self._count("draining")
