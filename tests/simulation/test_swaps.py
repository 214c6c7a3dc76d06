"""A swap of models falls between two batches, whatever else happens to the loop."""

from __future__ import annotations

from simulation.swapping import VERSIONS, Swapping
from simulation.world import Simulation

from stream.codec.decision_v1 import AUDITED, decode_audit
from stream.domain.decision import Audit
from stream.domain.topics import AUDIT

SWAPS = 100


def committed(simulation: Simulation) -> list[Audit]:
    """Every committed decision's audit record of a first stage."""
    found = []
    for place, log in simulation.broker.logs.items():
        if place.topic != AUDIT:
            continue
        for _, entry in log.committed():
            output = entry.output
            if output is not None and ("ce_type", AUDITED.encode()) in list(output.headers):
                found.append(decode_audit(output.value or b""))
    return [audit for audit in found if audit.decision.stage == 1]


def test_a_hundred_swaps_mix_no_batch() -> None:
    """Kills, lost answers and all: each decision is by the models its own batch was begun under.

    Every batch has switches of its own, so their version names the batch.
    """
    batches, scored, seed = set(), 0, 0
    while len(batches) < SWAPS:
        swapping = Swapping()
        simulation = Simulation(seed, swapping)
        assert simulation.run() == []
        for audit in committed(simulation):
            promised = swapping.promised[audit.standing.control_version]
            assert [promised] == [each.version for each in audit.standing.models]
            if audit.decision.model is not None:
                scored += 1
                assert promised == audit.decision.model.version
            batches.add((seed, audit.standing.control_version))
        seed += 1
    assert scored > SWAPS / 2
    assert len({swapping.promised[version] for _, version in batches if _ == seed - 1}) == len(
        VERSIONS
    )
