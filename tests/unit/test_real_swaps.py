"""A hundred swaps of real models on the real shelf, while batches are decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from audit_cases import MODELS, PARTITIONS, audit_of, people
from builders import at_home, under
from control_cases import command
from model_cases import TRUSTED, shifted
from policy_cases import POLICY
from prometheus_client import CollectorRegistry, Gauge

from stream.domain.control import Command, Placed, Switches
from stream.domain.decision import Audit
from stream.domain.draft import Draft
from stream.domain.instant import from_ms
from stream.domain.ledger import Ledger
from stream.domain.lineup import Pin
from stream.domain.topics import AUDIT
from stream.edge.onnx_scorer import OnnxScorer
from stream.edge.shelf import ModelShelf
from stream.switching import SwitchingPipeline

SWAPS, BATCH = 100, 12
FIRST_MS = 1_764_000_000_000
BY = {"1.0.0": 0.0, "2.0.0": 0.25, "3.0.0": -0.25}
"""What each version says more of everyone, in log-odds; quarters add up exactly."""


class Host:
    """The shelf and the pipeline of one worker over three signed versions on disk."""

    def __init__(self, models: Path) -> None:
        found = {v: OnnxScorer(shifted(models, v, by), TRUSTED) for v, by in BY.items()}
        self.pins = {v: Pin(v, each.manifest_sha256) for v, each in found.items()}
        info = Gauge("info", "i", ["model", "version"], registry=CollectorRegistry())
        base = {**MODELS, "consumer": found["1.0.0"]}
        self.shelf = ModelShelf(models, TRUSTED, base, info)  # type: ignore[arg-type]
        self.pipeline = SwitchingPipeline(self.shelf, POLICY)
        self.switches = Switches()
        records, self._views = people()
        self._records = [at_home(each, PARTITIONS) for each in records]

    def decide(self, turn: int) -> list[Audit]:
        """One batch under the switches of this moment; batches of one turn are of the same."""
        start = turn * BATCH % (len(self._records) - BATCH)
        drafts = {number: Draft(Ledger()) for number in range(PARTITIONS)}
        circumstances = under(self._views, partitions=PARTITIONS, switches=self.switches)
        batch = self._records[start : start + BATCH]
        done = self.pipeline.run(batch, drafts, circumstances, lambda _: None)
        return [audit_of(output) for output in done.outputs if output.topic == AUDIT]

    def swap(self, at: int, version: str, replaces: str) -> Command:
        """The command of the swap: up, and back as a rollback."""
        pin, was = self.pins[version], self.pins[replaces]
        model = {
            "alias": "champion", "version": version, "manifest_sha256": pin.manifest_sha256,
            "replaces": replaces, "replaces_sha256": was.manifest_sha256,
            "rollback": version < replaces,
        }  # fmt: skip
        return command(
            action="model", scope="model", name="consumer", model=model,
            command_id=f"cmd-{at:08}", issued_at=from_ms(FIRST_MS + at),
        )  # fmt: skip

    def take(self) -> None:
        """Put in force what has been loaded."""
        loaded = self.shelf.next(self.switches, wait=True)
        assert loaded is not None
        assert loaded.fault is None
        assert self.switches.unfit(loaded.placed) is None
        self.switches = self.switches.with_command(*loaded.placed)
        self.shelf.settle(self.switches)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.shelf.close()


def scores(audits: list[Audit], pin: Pin) -> dict[str, float]:
    """Log-odds by application, once each is seen to be of that release alone."""
    found = {}
    for audit in audits:
        used = audit.decision.model
        if used is None or used.model_id != "consumer":
            continue
        assert (used.version, used.sha256) == pin
        assert [(each.version, each.sha256) for each in audit.standing.models] == [pin]
        assert audit.log_odds is not None
        found[audit.decision.application_id] = audit.log_odds
    return found


def test_a_hundred_swaps_of_real_models_mix_no_batch(host: Host) -> None:
    """A batch while the next model is loaded is whole by the old one, the next whole by the new.

    To the bit: each score is that of the version which its record names.
    """
    sessions, compared, stands = set(), 0, "1.0.0"
    for at in range(1, SWAPS + 1):
        to = "3.0.0" if stands == "2.0.0" else "2.0.0"
        host.shelf.ask(Placed(host.swap(at, to, stands), at))
        was = host.decide(at)
        host.take()
        now = host.decide(at)
        before, after = scores(was, host.pins[stands]), scores(now, host.pins[to])
        compared += len(before.keys() & after.keys())
        for name in before.keys() & after.keys():
            assert after[name] - before[name] == BY[to] - BY[stands]
        aliases = host.switches.aliases("consumer")
        sessions.add(id(host.shelf.lineup("consumer", aliases).champion.scorer))
        stands = to
    assert compared > SWAPS
    assert len(sessions) > 1
