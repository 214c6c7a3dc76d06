"""What goes wrong in a run, and when: a seeded plan of faults against workers and broker."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

HOUR_MS = 3_600_000
STEPS = ("add", "produce", "stage", "end", "init", "join", "read back")


class Target(Protocol):
    """What the nemesis may do to a world."""

    workers: int

    def kill(self, index: int, again_after_ms: int) -> None:
        """End a worker where it stands, start another under its name later."""
        ...

    def freeze(self, index: int, for_ms: int) -> None:
        """Stop a worker without anyone being told, then let it go on."""
        ...

    def trap(self, index: int, *, step: str, kill: bool, for_ms: int) -> None:
        """End or freeze a worker the moment it sends this kind of request."""
        ...

    def replace(self, index: int, thaw_after_ms: int) -> None:
        """Freeze a worker, start another under its name, thaw the first: a zombie."""
        ...

    def stop(self, index: int, again_after_ms: int) -> None:
        """Ask a worker to end in order, start it again later."""
        ...

    def reset_identity(self, index: int) -> None:
        """Let the client lose its membership by itself."""
        ...

    def expel(self, index: int) -> None:
        """Let the group remove a member that is alive."""
        ...

    def cut_off(self, index: int, for_ms: int) -> None:
        """Part one worker from the broker, both ways."""
        ...

    def bounce(self, for_ms: int) -> None:
        """Stop the broker and start it again."""
        ...

    def storm(self, factor: float, for_ms: int) -> None:
        """Make the network much worse."""
        ...

    def refuse(self, for_ms: int) -> None:
        """Let one output topic refuse records."""
        ...

    def jump(self, by_ms: int) -> None:
        """Set the wall clock of every worker."""
        ...


def _kill(world: Target, random: Random) -> None:
    world.kill(random.randrange(world.workers), random.randrange(10, 3_000))


def _freeze(world: Target, random: Random) -> None:
    world.freeze(random.randrange(world.workers), random.randrange(100, 8_000))


def _trap(world: Target, random: Random) -> None:
    """Right inside a transaction, where a moment by the clock rarely falls."""
    world.trap(
        random.randrange(world.workers),
        step=random.choice(STEPS),
        kill=random.random() < 0.3,
        for_ms=random.randrange(500, 6_000),
    )


def _replace(world: Target, random: Random) -> None:
    world.replace(random.randrange(world.workers), random.randrange(50, 5_000))


def _stop(world: Target, random: Random) -> None:
    world.stop(random.randrange(world.workers), random.randrange(10, 4_000))


def _reset(world: Target, random: Random) -> None:
    world.reset_identity(random.randrange(world.workers))


def _expel(world: Target, random: Random) -> None:
    world.expel(random.randrange(world.workers))


def _cut(world: Target, random: Random) -> None:
    world.cut_off(random.randrange(world.workers), random.randrange(300, 6_000))


def _bounce(world: Target, random: Random) -> None:
    world.bounce(random.randrange(50, 7_000))


def _storm(world: Target, random: Random) -> None:
    world.storm(random.choice((3.0, 10.0)), random.randrange(500, 3_000))


def _refuse(world: Target, random: Random) -> None:
    world.refuse(random.randrange(300, 4_000))


def _jump(world: Target, random: Random) -> None:
    world.jump(random.choice((-HOUR_MS, HOUR_MS)))


FAULTS: dict[str, Callable[[Target, Random], None]] = {
    "kill": _kill,
    "freeze": _freeze,
    "trap in a transaction": _trap,
    "replace": _replace,
    "stop": _stop,
    "identity reset": _reset,
    "expel": _expel,
    "cut off": _cut,
    "broker bounce": _bounce,
    "storm": _storm,
    "topic refuses": _refuse,
    "clock jump": _jump,
}


def plan(random: Random, span_ms: int) -> list[tuple[int, str]]:
    """Moments and faults of one run: few kinds at a time, so that each seed has a character."""
    kinds = random.sample(sorted(FAULTS), random.randrange(1, 5))
    count = random.choice((1, 2, 3, 5, 8))
    return sorted((random.randrange(span_ms), random.choice(kinds)) for _ in range(count))
