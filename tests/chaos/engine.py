"""The real engine processes, one by one, so that each can be killed, stopped or let go.

Chaos plays the supervisor, by the shipped one's rule: more than five ends of one process within a
minute and the engine is given up. Where a scenario itself kills more often than that, only the
ends that nobody asked for count.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, RLock, Thread
from typing import NamedTuple

from stream.config import Settings, as_environment
from stream.edge.signals import WATCH_PARENT
from stream.edge.supervisor import RESTART_WINDOW_SECONDS, RESTARTS_MAX
from stream.errors import Exit
from stream.limits import LEAVE_SECONDS_MAX
from stream.obs.health import Health, read_health

PLAIN = "stream.edge.processes"
READY_SECONDS = 120.0
END_SECONDS = LEAVE_SECONDS_MAX + 2.0
_HOPELESS = (Exit.CONFIG, Exit.MODEL)
"""As the shipped supervisor, which does not start again what a restart cannot mend."""
_SAID = (*_HOPELESS, Exit.BROKER)
"""A process that ends so has said why."""


class Ended(NamedTuple):
    """A process that ended unasked, and the fault it named last."""

    name: str
    code: int
    problem: str

    def __str__(self) -> str:
        """As the page has it."""
        why = f": {self.problem}" if self.problem else ""
        return f"{self.name} ended by itself with {self.code}{why}"


class Engine:
    """A keeper and workers; whoever ends is started again, as a supervisor would."""

    def __init__(self, settings: Settings, folder: Path, workers: int) -> None:
        """Give every process its settings and a log of its own in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.settings, self._folder = settings, folder
        self.workers = [f"worker-{index}" for index in range(workers)]
        self.module = PLAIN
        self.extra: dict[str, str] = {}
        self.parts: dict[str, tuple[str, dict[str, str]]] = {}
        """Module and further environment of single workers, at this and every later start."""
        self.counts_asked = True
        """Whether an end that was asked for counts for giving the engine up, as in the field."""
        self.ended: list[Ended] = []
        self.given_up = ""
        self.codes: dict[int, int] = {}
        self.rss_kb: dict[int, tuple[int, int]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._expected: set[int] = set()
        self._resting: set[str] = set()
        self._ends: dict[str, list[float]] = {}
        self._lock, self._stop = RLock(), Event()
        self._watcher = Thread(target=self._watch, daemon=True)

    def start(self, *, wait: bool = True) -> None:
        """Start all; return once every worker is ready unless told not to wait."""
        self.launch("keeper")
        deadline = time.monotonic() + READY_SECONDS
        while wait and not self._said("keeper"):
            assert time.monotonic() < deadline, "the keeper does not come up"
            time.sleep(0.1)
        for name in self.workers:
            self.launch(name)
        self.watch()
        if wait:
            self.await_ready(self.workers)

    def launch(self, name: str, *, instance: str | None = None) -> None:
        """Start one process; the last start of a name is the one that counts."""
        given = self.settings.model_copy(update={"instance": instance} if instance else {})
        module, extra = self.parts.get(name, (self.module, self.extra))
        environment = {**os.environ, WATCH_PARENT: "1", **as_environment(given), **extra}
        verb = ["keeper"] if name == "keeper" else ["worker", name.removeprefix("worker-")]
        module = PLAIN if name == "keeper" else module
        self.spawn(name, [module, *verb], environment)

    def spawn(self, name: str, words: list[str], environment: dict[str, str]) -> None:
        """Run a module under this name, in a process group of its own."""
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        with self._lock:
            self._running[name] = process

    def watch(self) -> None:
        """Begin to start again what ends."""
        self._watcher.start()

    def pid(self, name: str) -> int:
        """Process id of one; 0 while there is none."""
        with self._lock:
            return self._running[name].pid if name in self._running else 0

    def alive(self, name: str) -> bool:
        """Whether it runs."""
        with self._lock:
            return name in self._running and self._running[name].poll() is None

    def ready(self, name: str) -> bool:
        """Whether the process that now has this name says it holds its partitions."""
        assert not self.given_up, self.given_up
        return any(h.ready for h in self._said(name))

    def await_ready(self, names: list[str], seconds: float = READY_SECONDS) -> None:
        """Wait until all are."""
        deadline = time.monotonic() + seconds
        while not all(self.ready(name) for name in names):
            assert time.monotonic() < deadline, f"{names} not ready within {seconds:.0f} s"
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """SIGKILL; it is started again by the watcher."""
        self.signal(name, signal.SIGKILL)

    def signal(self, name: str, number: int) -> None:
        """Send a signal, and expect the end it may bring."""
        with self._lock:
            assert name in self._running, self.given_up
            process = self._running[name]
            if number in (signal.SIGKILL, signal.SIGTERM):
                self._expected.add(process.pid)
            process.send_signal(number)

    def expect(self, pid: int) -> None:
        """The end of this process is meant."""
        with self._lock:
            self._expected.add(pid)

    def rest(self, name: str) -> None:
        """Do not start it again before `wake`, once it has ended."""
        with self._lock:
            self._resting.add(name)

    def wake(self, name: str) -> None:
        """Start it again if it has ended meanwhile."""
        with self._lock:
            self._resting.discard(name)
            if name not in self._running:
                self.launch(name)

    def leave(self, name: str) -> int:
        """SIGTERM, and wait for the end; it is not started again."""
        with self._lock:
            process = self._running.pop(name)
        process.terminate()
        try:
            code = process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        assert process.stdin is not None
        process.stdin.close()
        return code

    def stop(self) -> None:
        """End all."""
        self._stop.set()
        if self._watcher.is_alive():
            self._watcher.join()
        for name in sorted(self._running, reverse=True):
            self.leave(name)

    @property
    def growth_mb(self) -> float:
        """Most that any worker grew beyond what it held when first seen ready."""
        return max((most - first for first, most in self.rss_kb.values()), default=0) / 1024

    @property
    def peak_mb(self) -> float:
        """Most that any worker held in memory once it had been ready."""
        return max((most for _, most in self.rss_kb.values()), default=0) / 1024

    def held_kb(self) -> dict[int, int]:
        """Memory of each worker's own, now, by process id."""
        return {pid: _own_kb(pid) for pid in map(self.pid, self.workers)}

    def _said(self, name: str) -> list[Health]:
        pid = self.pid(name)
        try:
            return [h for h in read_health(self.settings.health_dir) if h.pid == pid]
        except FileNotFoundError:  # replaced between listing and reading
            return []

    def _problem(self, name: str) -> str:
        """What the last line `fatal` of a log says."""
        found = ""
        for line in (self._folder / f"{name}.log").read_bytes().splitlines():
            if b'"event":"fatal"' in line:
                found = str(json.loads(line)["problem"])
        return found

    def _watch(self) -> None:
        sampled_at = 0.0
        while not self._stop.wait(0.05):
            with self._lock:
                for name, process in list(self._running.items()):
                    code = process.poll()
                    if code is not None:
                        self._followed(name, process, code)
            if time.monotonic() - sampled_at > 0.5:
                sampled_at = time.monotonic()
                self._sample()

    def _followed(self, name: str, process: subprocess.Popen[bytes], code: int) -> None:
        """Note an end; start it again, or give the engine up as the shipped supervisor would."""
        self.codes[process.pid] = code
        asked = process.pid in self._expected
        if not asked:
            problem = self._problem(name) if code in _SAID else ""
            self.ended.append(Ended(name, code, problem))
        if process.stdin is not None:
            process.stdin.close()
        del self._running[name]
        if code in _HOPELESS:
            self.given_up = f"{name} ended with {code}: see {self._folder}/{name}.log"
        elif (self.counts_asked or not asked) and self._too_often(name, time.monotonic()):
            self.given_up = (
                f"{name} ended more than {RESTARTS_MAX} times within "
                f"{RESTART_WINDOW_SECONDS:.0f} s: the shipped supervisor gives the engine up"
            )
        elif name not in self._resting:
            self.launch(name)

    def _too_often(self, name: str, now: float) -> bool:
        """Count one more end; whether a restart does not mend it, by the shipped rule."""
        recent = [at for at in self._ends.get(name, []) if now - at < RESTART_WINDOW_SECONDS]
        self._ends[name] = [*recent, now]
        return len(recent) >= RESTARTS_MAX

    def _sample(self) -> None:
        """Memory of every worker's own since first seen ready: then, and the most so far.

        Pages of files, which are the store's, are the kernel's to take back and do not count.
        """
        for name in self.workers:
            pid = self.pid(name)
            if pid not in self.rss_kb and not any(h.ready for h in self._said(name)):
                continue
            held = _own_kb(pid)
            if not held:
                continue
            first, most = self.rss_kb.get(pid, (held, 0))
            self.rss_kb[pid] = (first, max(most, held))


def _own_kb(pid: int) -> int:
    """Memory of a process without pages of files; 0 once it has ended."""
    try:
        resident, of_files = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(of_files)) * 4
