"""How fast a stop takes hold: python bench/control.py [--json].

A real Kafka and an engine of two workers run on this machine, and applications of
made-up farmers and merchants flow as in the demo. Farmers are stopped and resumed
again and again. Of each stop is measured, in milliseconds from its `issued_at`:
when the broker had it, when the last worker said it applies it, when the last
decision without it was made by the workers' own word, and, counted again from
`disbursement.decisions`, when the last farmer was approved before the resume.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stream.broker import EmbeddedBroker
from stream.broker.place import free_port
from stream.config import Settings, load_settings
from stream.demo.channels import build_schedule
from stream.demo.parts import Parts, await_ready
from stream.demo.publisher import Publisher
from stream.demo.reconcile import read_decisions
from stream.demo.synthetic import synthetic_cases
from stream.demo.tables import bureau_rows, publish_bureau, publish_whitelist, whitelist_rows
from stream.demo.terms import LoanCase, Run
from stream.domain.control import Action, Command, Scope, Switches
from stream.domain.decision import Outcome
from stream.domain.instant import to_ms
from stream.edge.key_pairs import OPERATOR
from stream.ops import control, topics

READY_SECONDS = 120.0
ANSWER_SECONDS = 30.0
PAUSE_SECONDS = (0.3, 0.7)
"""Between two commands, drawn anew each time so that they meet batches at any moment."""
SECONDS_A_STOP_MAX = 8.0
SEED = 7
PACKAGES = ("ten-minute-loan", "confluent-kafka", "onnxruntime")


class Stop(NamedTuple):
    """One stop, in milliseconds since it was issued; `resumed` is when its resume was issued."""

    issued_at_ms: int
    written: int
    acknowledged: int
    last_affected: int
    resumed: int


def prepare(bootstrap: str, folder: Path, people: Sequence[LoanCase], run: Run) -> Settings:
    """Topics, offers and bureau features, and an engine's settings that trust a new key."""
    topics.apply(bootstrap, partitions=6, replication=1)
    _, public_file, _ = OPERATOR.make(folder / "keys")
    settings = load_settings(
        bootstrap=bootstrap,
        state_dir=folder / "engine",
        metrics_port=free_port(),
        workers=2,
        control_key_files=[public_file],
    )
    stop = Event()
    publish_whitelist(settings, whitelist_rows(people, run, 0), run, lambda _: None, stop)
    publish_bureau(settings, bureau_rows(people, run, 0), run, lambda _: None, stop)
    return settings


@contextmanager
def flowing(settings: Settings, people: Sequence[LoanCase], rate: float) -> Iterator[None]:
    """The demo's channels, repeats and broken records included, at `rate` a second."""
    publisher, stop = Publisher(settings, build_schedule(people, SEED), rate), Event()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(publisher.run, stop)
        try:
            yield
            if sending.done():
                raise RuntimeError("the applications ran out before the last command")
        finally:
            stop.set()
            sending.result()


def give(
    settings: Settings, private: Ed25519PrivateKey, action: Action
) -> tuple[Command, int, control.Outcome]:
    """A command for farmers, how long until the broker had it, and what the workers answered."""
    facts = {"action": action, "scope": Scope.SEGMENT, "name": "farmer", "reason": "benchmark"}
    command = control.make_command(facts, Switches(), "bench")
    offset = control.publish(settings, command, private)
    written = time.time_ns() // 1_000_000 - to_ms(command.issued_at)
    outcome = control.await_acks(settings, command, offset, settings.workers, ANSWER_SECONDS)
    if not outcome.complete:
        raise RuntimeError(f"{len(outcome.workers)} of {settings.workers} workers have answered")
    return command, written, outcome


def stop_and_resume(settings: Settings, commands: int) -> list[Stop]:
    """So many stops, each taken back before the next."""
    private = OPERATOR.read_private(settings.control_key_files[0].with_name("control.key"))
    rng, found = random.Random(SEED), []
    for _ in range(commands):
        time.sleep(rng.uniform(*PAUSE_SECONDS))
        stop, written, outcome = give(settings, private, Action.STOP)
        time.sleep(rng.uniform(*PAUSE_SECONDS))
        resume, _, _ = give(settings, private, Action.RESUME)
        issued_ms = to_ms(stop.issued_at)
        resumed = to_ms(resume.issued_at) - issued_ms
        acknowledged, last = outcome.acknowledged_ms or 0, max(0, outcome.last_affected_ms or 0)
        found.append(Stop(issued_ms, written, acknowledged, last, resumed))
    return found


def last_approvals(bootstrap: str, stops: Sequence[Stop]) -> list[int]:
    """Of each stop, when the last farmer was approved under it, 0 for never, from the topic."""
    approved_ms = [
        to_ms(decision.decided_at)
        for decision in read_decisions(bootstrap)
        if decision.segment == "farmer" and decision.outcome is Outcome.APPROVE
    ]
    return [
        max((at - s.issued_at_ms for at in approved_ms if 0 < at - s.issued_at_ms < s.resumed),
            default=0)
        for s in stops
    ]  # fmt: skip


def measure(commands: int, rate: float) -> tuple[list[Stop], list[int]]:
    """Everything above, on a broker and an engine of its own."""
    run = Run(now_ms=time.time_ns() // 1_000_000, seed=SEED, name="control")
    people = synthetic_cases(run, int(rate * commands * SECONDS_A_STOP_MAX))
    with tempfile.TemporaryDirectory() as place, EmbeddedBroker(Path(place) / "broker") as broker:
        settings = prepare(broker.bootstrap, Path(place), people, run)
        with Parts(settings, Path(place) / "logs") as parts:
            parts.start("engine")
            await_ready(settings, parts, READY_SECONDS)
            with flowing(settings, people, rate):
                stops = stop_and_resume(settings, commands)
        return stops, last_approvals(broker.bootstrap, stops)


def spread(values: Sequence[int]) -> dict[str, float]:
    """Median, nine in ten and the worst."""
    ordered = sorted(values)
    nine_in_ten = ordered[-(-len(ordered) * 9 // 10) - 1]
    return {"median": statistics.median(ordered), "p90": nine_in_ten, "max": ordered[-1]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Milliseconds from a stop to its last decision.")
    parser.add_argument("--commands", type=int, default=20, help="stops, each with its resume")
    parser.add_argument("--rate", type=float, default=50.0, help="applications a second")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args()
    stops, approvals = measure(given.commands, given.rate)
    found = {
        "written_ms": spread([stop.written for stop in stops]),
        "acknowledged_ms": spread([stop.acknowledged for stop in stops]),
        "last_affected_ms": spread([stop.last_affected for stop in stops]),
        "last_approval_ms": spread(approvals),
    }
    about = {
        "commands": len(stops),
        "rate": given.rate,
        "approved_after_the_last_named": sum(
            late > stop.last_affected for stop, late in zip(stops, approvals, strict=True)
        ),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }
    if given.json:
        print(json.dumps({**about, **found}))
        return
    for name, values in found.items():
        print(f"{name:18}" + "".join(f"{key} {value:8.0f}   " for key, value in values.items()))
    for name, value in about.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
