"""Virtual time, tasks that wait in it, and processes that can be killed or frozen.

Everything runs in one thread. A task is a greenlet: it runs until it waits,
then the kernel takes the next event. Chance comes from one seeded generator, so
a seed is a run, and `digest` tells whether two runs were the same.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

from greenlet import getcurrent, greenlet


class Killed(BaseException):
    """The process is gone; nothing it does from here on reaches anyone."""


class Promise:
    """Something that will be known later."""

    __slots__ = ("_watchers", "done", "error", "value")

    def __init__(self) -> None:
        self.done, self.value, self.error = False, None, None
        self._watchers: list[Callable[[], None]] = []

    value: Any
    error: BaseException | None

    def settle(self, value: Any = None, error: BaseException | None = None) -> None:
        """Make it known; the first word counts."""
        if self.done:
            return
        self.done, self.value, self.error = True, value, error
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` once when known."""
        if self.done:
            watcher()
        else:
            self._watchers.append(watcher)

    def result(self) -> Any:
        """The value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value


class Kernel:
    """The clock, the chance and the order of events of one run."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now_ms = 0
        self.counts: Counter[str] = Counter()
        self._later: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._at_once: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._number = 0
        self._trace: list[tuple[object, ...]] = []
        self.hub = getcurrent()
        self._bits = self.random.getrandbits
        self._draw = self.random.random

    def after(self, delay_ms: int, work: Callable[..., None], *arguments: Any) -> None:
        """Do `work` in `delay_ms`; what falls on the same moment keeps its order."""
        if delay_ms:
            self._number = number = self._number + 1
            heappush(self._later, (self.now_ms + delay_ms, number, work, arguments))
        else:
            self._at_once.append((work, arguments))

    def is_due(self) -> bool:
        """Whether anything else is to be done at this very moment."""
        later = self._later
        return bool(self._at_once) or bool(later and later[0][0] == self.now_ms)

    def run(self, limit_ms: int, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass until `until` holds; False when `limit_ms` or the last event came first.

        What was put off until this moment was asked for before it, so it goes
        before what this moment itself asks for.
        """
        later, at_once = self._later, self._at_once
        while until is None or not until():
            if later and later[0][0] == self.now_ms:
                _, _, work, arguments = heappop(later)
            elif at_once:
                work, arguments = at_once.popleft()
            elif later and later[0][0] <= limit_ms:
                self.now_ms, _, work, arguments = heappop(later)
            else:
                return False
            work(*arguments)
        return True

    def note(self, *facts: object) -> None:
        """Add to the run's trace; facts are not changed any more."""
        self._trace.append((self.now_ms, *facts))

    def count(self, name: str) -> None:
        """Count that something happened."""
        self.counts[name] += 1

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._draw() < probability

    def below(self, most: int) -> int:
        """A whole number from 0 to `most` - 1: what `Random.randrange` draws, at half its cost."""
        bits = most.bit_length()
        drawn = self._bits(bits)
        while drawn >= most:
            drawn = self._bits(bits)
        return drawn

    def between(self, least: int, most: int) -> int:
        """A whole number from `least` to `most` - 1."""
        return least + self.below(most - least)

    def shuffle(self, things: list[Any]) -> None:
        """Bring them into any order, in place, as `Random.shuffle` does."""
        for last in range(len(things) - 1, 0, -1):
            other = self.below(last + 1)
            things[last], things[other] = things[other], things[last]

    def close(self) -> None:
        """Forget what is still to come, so that the run's objects are freed at once."""
        self._later.clear()
        self._at_once.clear()

    def digest(self) -> str:
        """The trace so far, in short: equal for equal runs."""
        digest = hashlib.blake2b(digest_size=16)
        for facts in self._trace:
            digest.update(repr(facts).encode())
        return digest.hexdigest()


class Process:
    """Tasks that live, stop and die together."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.kernel, self.name = kernel, name
        self.alive, self.frozen, self.cut_off = True, False, False
        self.trap: Callable[[str], bool] | None = None
        self.error: Exception | None = None
        self._tasks: list[greenlet] = []
        self._held: list[greenlet] = []

    def spawn(self, work: Callable[[], None]) -> None:
        """Run `work` as a task of this process, from the next event on."""

        def body() -> None:
            try:
                work()
            except Killed:
                return
            except Exception as error:  # noqa: BLE001 - handed to whoever runs the world
                self.error = self.error or error
            self._tasks.remove(task)

        task = greenlet(body, self.kernel.hub)
        self._tasks.append(task)
        self._resume(task)

    def wait(self, promise: Promise, within_ms: int | None = None) -> bool:
        """Let time pass until the promise is known (True) or the time is over (False)."""
        if not self.alive:
            raise Killed
        task, woken = getcurrent(), False

        def wake() -> None:
            nonlocal woken
            if not woken:
                woken = True
                self._resume(task)

        promise.watch(wake)
        if within_ms is not None:
            self.kernel.after(within_ms, wake)
        self.kernel.hub.switch()
        if not self.alive:
            raise Killed
        return promise.done

    def pause(self, milliseconds: int) -> None:
        """Let time pass."""
        if not self.alive:
            raise Killed
        self.kernel.after(milliseconds, self._rouse, getcurrent())
        self.kernel.hub.switch()
        if not self.alive:
            raise Killed

    def work(self) -> None:
        """A moment of computing, in which others go on and anything may happen."""
        self.pause(self.kernel.below(3))

    def kill(self) -> None:
        """End every task where it stands; only from outside the process."""
        self.alive = False
        tasks, self._tasks, self._held = self._tasks, [], []
        for task in tasks:
            if task:
                task.throw(Killed)

    def freeze(self) -> None:
        """Stop running, without anyone being told."""
        self.frozen = True

    def thaw(self) -> None:
        """Go on as if no time had passed."""
        self.frozen = False
        held, self._held = self._held, []
        for task in held:
            self._resume(task)

    def _resume(self, task: greenlet) -> None:
        self.kernel.after(0, self._switch, task)

    def _rouse(self, task: greenlet) -> None:
        """As an event of its own: go on with the task now, or behind what is due before it."""
        if self.kernel.is_due():
            self._resume(task)
        else:
            self._switch(task)

    def _switch(self, task: greenlet) -> None:
        if not self.alive:
            return
        if self.frozen:
            self._held.append(task)
        else:
            task.switch()
