"""One run: workers, broker, channels and a nemesis under one seed, then peace and the oracle."""

from __future__ import annotations

from functools import partial

from builders import NOW_MS
from simulation.broker import Broker
from simulation.engine import Clock, OftenKept, Seeing, SimStore, pipeline
from simulation.faults import Weather
from simulation.inbox import SimInbox
from simulation.kernel import Kernel, Process
from simulation.ledgers import SimLedgers
from simulation.nemesis import FAULTS, plan
from simulation.oracle import undrained, violations
from simulation.outlet import SimLane, SimOutlets
from simulation.reviewer import Reviewer
from simulation.snapshots import Disk, SimSnapshots, SimTies
from simulation.workload import Workload

from stream.domain.control import Switches
from stream.domain.topics import AUDIT, DEAD_LETTERS, DECISIONS
from stream.ending import RefusalError
from stream.errors import FatalError, TransactionError
from stream.pipeline import Decides
from stream.ports import Ledgers, Outlets
from stream.world import World as Surroundings

SPAN_MS = 12_000
"""How long things go wrong."""
NAMESAKES_MS = 1_500
"""How long two processes of one name live beside each other where nothing but us ends it."""
PEACE_MS = 90_000
"""How long it may take afterwards until everything is decided."""


class Running:
    """One process of a worker, with the parts the nemesis takes hold of."""

    def __init__(self, process: Process, inbox: SimInbox) -> None:
        self.process, self.inbox = process, inbox
        self.stopping = False
        self.again_after_ms: int | None = None


class Parts:
    """How a worker's ports are made; a planted bug replaces one of them."""

    def inbox(self, process: Process, broker: Broker, slot: str, *, static: bool) -> SimInbox:
        """The consumer."""
        return SimInbox(process, broker, slot, static=static)

    def outlets(self, process: Process, broker: Broker, name: str, inbox: SimInbox) -> Outlets:
        """The producers, which have no business with the consumer."""
        del inbox
        return SimOutlets(process, broker, name)

    def ledgers(self, process: Process, broker: Broker, snapshots: SimSnapshots) -> Ledgers:
        """Recovery."""
        return SimLedgers(process, broker, snapshots)

    def ties(self, process: Process, broker: Broker) -> SimTies:
        """What is asked before a snapshot is kept."""
        return SimTies(process, broker)

    def switches(self) -> Switches:
        """What is in force for a batch."""
        return Switches()

    def pipeline(self) -> Decides:
        """Who decides."""
        return pipeline()


class Simulation:
    """Everything of one seed."""

    def __init__(self, seed: int, parts: Parts | None = None) -> None:
        self.kernel = Kernel(seed)
        random = self.kernel.random
        self._parts = parts or Parts()
        self.workers = random.randrange(1, 4)
        self._static = random.random() < 0.75
        self._batch_records = random.randrange(2, 12)
        partitions = random.randrange(1, 4)
        self.weather = Weather(random)
        self.broker = Broker(self.kernel, self.weather, partitions)
        self.workload = Workload(random, partitions, SPAN_MS)
        self._reviewer = Reviewer(self.broker)
        self._snapshot_every = random.choice((0, 1, 3, 6))
        shared: Disk = {}
        one_host = random.random() < 0.5
        self._disks = [shared if one_host else Disk() for _ in range(self.workers)]
        self._clock_ms = NOW_MS
        self._running: dict[int, Running] = {}
        self._done = False
        self.broken: list[str] = []

    def run(self) -> list[str]:
        """Every violation of this seed; none when all promises were kept."""
        kernel = self.kernel
        for index in range(self.workers):
            kernel.after(kernel.below(300), self._start, index)
        for at_ms, output in self.workload.planned:
            kernel.after(at_ms, self.broker.publish, output, NOW_MS + at_ms)
        for _ in range(kernel.below(6)):
            kernel.after(kernel.below(SPAN_MS), self._review)
        for at_ms, fault in plan(kernel.random, SPAN_MS):
            kernel.after(at_ms, self._strike, fault)
        kernel.run(SPAN_MS)
        self._heal()
        self._look()
        calm = kernel.run(SPAN_MS + PEACE_MS, lambda: self._done or bool(self.broken))
        for running in self._running.values():
            running.process.kill()
        if not calm:
            self.broken += undrained(self.broker) or ["transactions are still open"]
        self.broken += violations(self.broker, self.workload)
        self._note_results()
        kernel.close()
        return self.broken

    def wall_ms(self) -> int:
        """The workers' wall clock."""
        return self._clock_ms + self.kernel.now_ms

    def kill(self, index: int, again_after_ms: int) -> None:
        """See `nemesis.Target`, like the rest below."""
        running = self._running.get(index)
        if running is not None:
            self._kill_this(running, index, again_after_ms)

    def _kill_this(self, running: Running, index: int, again_after_ms: int) -> None:
        running.process.kill()
        if self._running.get(index) is running:
            del self._running[index]
            self.kernel.after(again_after_ms, self._start, index)

    def freeze(self, index: int, for_ms: int) -> None:
        if running := self._running.get(index):
            running.process.freeze()
            self.kernel.after(for_ms, running.process.thaw)

    def trap(self, index: int, *, step: str, kill: bool, for_ms: int) -> None:
        if running := self._running.get(index):

            def sprung(kind: str) -> bool:
                if kind != step:
                    return False
                if kill:
                    self.kernel.after(0, self._kill_this, running, index, for_ms)
                elif running.process.alive:
                    running.process.freeze()
                    self.kernel.after(for_ms, running.process.thaw)
                return True

            running.process.trap = sprung

    def replace(self, index: int, thaw_after_ms: int) -> None:
        if running := self._running.pop(index, None):
            running.process.freeze()
            self._start(index)
            self.kernel.after(thaw_after_ms, running.process.thaw)
            if not self._static:
                # Only a group of static members tells one of two namesakes to go.
                self.kernel.after(thaw_after_ms + NAMESAKES_MS, running.process.kill)

    def stop(self, index: int, again_after_ms: int) -> None:
        if running := self._running.get(index):
            running.stopping, running.again_after_ms = True, again_after_ms

    def reset_identity(self, index: int) -> None:
        if running := self._running.get(index):
            running.inbox.reset()

    def expel(self, index: int) -> None:
        self.broker.group.remove(self._name(index))

    def cut_off(self, index: int, for_ms: int) -> None:
        if running := self._running.get(index):
            running.process.cut_off = True
            self.kernel.after(for_ms, self._join_up, running.process)

    def bounce(self, for_ms: int) -> None:
        self.broker.bounce(for_ms)

    def storm(self, factor: float, for_ms: int) -> None:
        self.weather.blow(factor)
        self.kernel.after(for_ms, self.weather.blow, 1.0)

    def refuse(self, for_ms: int) -> None:
        topics = (DECISIONS, AUDIT, DEAD_LETTERS)
        self.broker.refusing = self.kernel.random.choice(topics)
        self.kernel.after(for_ms, setattr, self.broker, "refusing", None)

    def jump(self, by_ms: int) -> None:
        self._clock_ms += by_ms

    def _review(self) -> None:
        for output in self._reviewer.answer():
            self.kernel.count("referral answered")
            self.broker.publish(output, NOW_MS + self.kernel.now_ms)

    def _strike(self, fault: str) -> None:
        self.kernel.count(f"nemesis: {fault}")
        self.kernel.note("nemesis", fault)
        FAULTS[fault](self, self.kernel.random)

    def _join_up(self, process: Process) -> None:
        process.cut_off = False

    def _heal(self) -> None:
        self.weather.heal()
        self.broker.refusing = None
        if not self.broker.up:
            self.broker.rise()
        for running in self._running.values():
            running.process.trap, running.process.cut_off = None, False
            running.process.thaw()

    def _look(self) -> None:
        """Is everything decided, with every worker back and no transaction open."""
        self._done = (
            len(self._running) == self.workers
            and self.broker.transactions.all_ended()
            and not undrained(self.broker)
        )
        self.kernel.after(100, self._look)

    def _name(self, index: int) -> str:
        return f"worker-{index}"

    def _start(self, index: int) -> None:
        if index in self._running:
            return
        kernel, broker, name = self.kernel, self.broker, self._name(index)
        process = Process(kernel, name)
        inbox = self._parts.inbox(process, broker, name, static=self._static)
        running = self._running[index] = Running(process, inbox)
        process.spawn(partial(self._live, running, index))

    def _live(self, running: Running, index: int) -> None:
        process, broker = running.process, self.broker
        parts = self._parts
        snapshots = SimSnapshots(self._disks[index], partitions=broker.partitions)
        seeing = Seeing(self.kernel, process.name, snapshots, parts.ties(process, broker))
        surroundings = Surroundings(
            inbox=running.inbox,
            outlets=parts.outlets(process, broker, process.name, running.inbox),
            ledgers=parts.ledgers(process, broker, snapshots),
            lane=SimLane(process),
            store=SimStore(self.wall_ms),
            clock=Clock(process, self.wall_ms, lambda: running.stopping),
            watcher=seeing,
            switches=parts.switches,
        )
        try:
            worker = OftenKept(
                surroundings, parts.pipeline(), partitions=broker.partitions,
                batch_records=self._batch_records, stopping=lambda: running.stopping,
            )  # fmt: skip
            worker.every = self._snapshot_every
            worker.run()
            self.kernel.count("worker ended in order")
        except RefusalError as error:
            self.broken.append(f"refused to start: {error}")
        except (FatalError, TransactionError) as error:
            self.kernel.count(f"worker ended: {str(error)[:40]}")
        except Exception as error:  # noqa: BLE001 - reported as a violation of this seed
            self.broken.append(f"crashed: {type(error).__name__}: {error}")
        self.kernel.after(0, self._ended, running, index)

    def _ended(self, running: Running, index: int) -> None:
        running.process.kill()
        if self._running.get(index) is running:
            del self._running[index]
            again_ms = running.again_after_ms or self.kernel.between(50, 1_000)
            self.kernel.after(again_ms, self._start, index)

    def _note_results(self) -> None:
        for place, log in self.broker.logs.items():
            for offset, entry in log.committed():
                self.kernel.note(place, offset, entry.output)
