"""The short form of `make simulate`: a few hundred seeds, the planted bugs, exact replay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulation.campaign import Outcome, hunt, run_seeds
from simulation.planted import PLANTED
from simulation.world import Simulation

TESTS = Path(__file__).parents[1]
SEEDS = 200

# A seed on which each bug is known to show; how soon a whole hunt finds it: `make simulate`.
SHOWS_ON = {
    "drop the fencing check": 36,
    "commit before produce": 0,
    "forget dedupe": 0,
    "ack in finally": 4,
    "snapshot identity late": 159,
    "retry EndTxn on the same epoch": 7,
    "audit before the promise": 0,
    "release by id alone": 16,
    "exposure without batches under way": 0,
    "snapshot without its tail": 0,
}


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """A few hundred seeds, run once for all that is asked of them."""
    return run_seeds(range(SEEDS))


def test_no_seed_breaks_a_promise(outcome: Outcome) -> None:
    """Killed, frozen, expelled, cut off, unlucky: one decision per id, one letter per bad one."""
    broken = [f"make simulate SEED={seed}: {said}" for seed, said in outcome.failures.items()]
    assert not broken


@pytest.mark.parametrize(
    "way",
    [
        "loop: recovery: abort, UNKNOWN_MEMBER_ID",
        "loop: recovery: recreate, connection_lost",
        "loop: recovery: recreate, end timed out",
        "loop: recovery: recreate, stage timed out",
        "loop: recovery: hold, POLICY_VIOLATION",
        "loop: recovery tried again",
        "loop: assigned with ledger",
        "ledger from a snapshot",
        "loop: snapshots_not_kept",
        "loop: stray sent on",
        "open transaction fenced",
        "session timed out",
        "nemesis: kill",
        "nemesis: replace",
        "nemesis: trap in a transaction",
        "network: lose_answer",
        "network: late_end",
    ],
)
def test_every_way_of_recovering_is_taken(outcome: Outcome, way: str) -> None:
    """Seeds in which nothing goes wrong prove nothing: each fault and each remedy turns up."""
    assert outcome.counts[way] > 0


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_every_planted_bug_is_found(name: str) -> None:
    """The simulation can tell a loop that keeps its promises from one that does not."""
    assert hunt(name, [SHOWS_ON[name]]).broken


def test_a_seed_is_one_run() -> None:
    """Ten times the same trace, to the last byte committed."""
    digests = set()
    for _ in range(10):
        simulation = Simulation(7)
        simulation.run()
        digests.add(simulation.kernel.digest())
    assert len(digests) == 1


def test_a_seed_is_the_same_run_in_another_process() -> None:
    """Nothing depends on the order of a set of strings, which differs between processes."""
    program = (
        "from simulation.world import Simulation\n"
        "s = Simulation(7)\n"
        "s.run()\n"
        "print(s.kernel.digest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(TESTS)},
            capture_output=True, check=True, text=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(digests) == 1
