"""Drift of points and features: windows of a fixed number of events, each judged once.

A window holds the next `window_events` scored decisions of one model in one arm.
It is judged when it is full and never before, so that looking often makes no
alarm likelier. Each series is asked three things: its shape, whether more of it is
unknown than in training, and whether more lies beyond all training. All questions
share one chance of a false alarm, `level`, in equal parts (Bonferroni): without
drift a window alarms with a chance of at most `level`. Windows follow each other
without sharing an event: of many windows the share `level` at most alarms by
chance, however long the watch goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct

from stream.domain.decision import Audit
from stream.scoring.reference import Reference, Shape
from stream.watch.psi import compare
from stream.watch.rare import chance_beyond, chance_of_more
from stream.watch.sketch import Sketch, as_float32

POINTS: Final = "points"
"""The series of the score; every other is named after its feature."""


QUESTIONS: Final = ("shape", "missing", "outside")


class DriftTerms(Struct, frozen=True, kw_only=True):
    """How many events a window holds, and how often one may alarm by chance."""

    window_events: Annotated[int, Meta(ge=100, le=1_000_000)] = 1_000
    level: Annotated[float, Meta(gt=0, lt=0.5)] = 0.01


class Finding(Struct, frozen=True):
    """What a full window said of one series; shares are of its events."""

    series: str
    psi: float
    p_values: dict[str, float]
    """The chance without drift, by question."""
    alarms: tuple[str, ...]
    """The questions whose answer is beyond chance."""
    missing: float
    missing_reference: float
    outside: float


class Population(Struct):
    """One model in one arm: the window that fills, and what the full ones have said."""

    segment: str
    arm: str
    version: str
    sketches: dict[str, Sketch]
    lacking: dict[str, int] = {}
    """Applications of this window without a score, by the feature whose lack kept them from it."""
    events: int = 0
    windows: int = 0
    alarms: dict[str, int] = {}
    latest: tuple[Finding, ...] = ()


class DriftWatch:
    """The populations by the hash of their manifest and by arm."""

    def __init__(
        self,
        references: Mapping[str, Reference],
        terms: DriftTerms,
        populations: dict[str, Population] | None = None,
    ) -> None:
        """`references` by hash of the manifest; go on from `populations` where there are any."""
        self._references, self._terms = references, terms
        self.populations = {} if populations is None else populations
        self.unknown = 0
        """Scored decisions whose model has no reference here."""

    def take(self, audit: Audit) -> Population | None:
        """Count one first-stage decision; its population when that has just filled a window."""
        decision = audit.decision
        if decision.stage != 1:
            return None
        if decision.model is None or decision.score_points is None:
            self._note_lack(audit)
            return None
        model = decision.model
        found = self._population(audit, model.sha256, model.arm.value, model.version)
        if found is None:
            self.unknown += 1
            return None
        population, reference = found
        shapes = reference.features
        values = as_float32(audit.features.get(name, -1.0) for name in shapes)
        for (name, shape), value in zip(shapes.items(), values, strict=True):
            population.sketches[name].take(value, shape)
        population.sketches[POINTS].take(float(decision.score_points), reference.score)
        population.events += 1
        if population.events < self._terms.window_events:
            return None
        self._judge(population, reference)
        return population

    def _population(
        self, audit: Audit, sha256: str, arm: str, version: str
    ) -> tuple[Population, Reference] | None:
        reference = self._references.get(sha256)
        if reference is None:
            return None
        key = f"{arm}/{sha256}"
        population = self.populations.get(key)
        if population is None:
            population = Population(audit.decision.segment.value, arm, version, _blank(reference))
            population.alarms = dict.fromkeys(population.sketches, 0)
            self.populations[key] = population
        return population, reference

    def _note_lack(self, audit: Audit) -> None:
        """An application the model was not asked of, as a feature it requires was missing."""
        lacks = [hit.values.get("missing") for hit in audit.rules if hit.rule == "features"]
        arm = audit.standing.arm.value
        decider = next((each for each in audit.standing.models if each.alias == arm), None)
        if not lacks or decider is None:
            return
        found = self._population(audit, decider.sha256, arm, decider.version)
        if found is not None:
            for name in map(str, lacks):
                found[0].lacking[name] = found[0].lacking.get(name, 0) + 1

    def _judge(self, population: Population, reference: Reference) -> None:
        """Compare the full window with the training rows, and begin the next."""
        level = self._terms.level / len(population.sketches) / len(QUESTIONS)
        latest = []
        for name, sketch in population.sketches.items():
            shape = reference.score if name == POINTS else reference.features[name]
            finding = judge(name, shape, sketch, population, level)
            population.alarms[name] += bool(finding.alarms)
            latest.append(finding)
        population.latest = tuple(latest)
        population.windows += 1
        population.events, population.lacking = 0, {}
        population.sketches = _blank(reference)


def judge(name: str, shape: Shape, sketch: Sketch, population: Population, level: float) -> Finding:
    """The three questions to one series of a full window."""
    missing = sketch.missing + population.lacking.get(name, 0)
    asked = population.events + sum(population.lacking.values())
    drift = compare(shape, sketch)
    known = shape.rows - shape.missing
    p_values = {
        "shape": drift.p_value,
        "missing": chance_of_more(shape.missing, shape.rows, missing, asked),
        "outside": chance_beyond(known, sketch.outside, sketch.seen - sketch.missing),
    }
    return Finding(
        series=name,
        psi=drift.psi,
        p_values=p_values,
        alarms=tuple(question for question, chance in p_values.items() if chance < level),
        missing=missing / asked,
        missing_reference=shape.missing / shape.rows,
        outside=sketch.outside / population.events,
    )


def _blank(reference: Reference) -> dict[str, Sketch]:
    shapes = {POINTS: reference.score, **reference.features}
    return {name: Sketch.empty(shape) for name, shape in shapes.items()}
