"""The real pipeline with the shipped models and policy, and one person it would approve."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from builders import FakeViews, bureau, entry, under
from policy_cases import POLICY

from stream.config import Settings
from stream.domain.decision import Decision
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.topics import DEAD_LETTERS
from stream.edge.onnx_scorer import load_models
from stream.pipeline import Pipeline
from stream.ports import Output, Record, Scorers, Views

SAFE = {"utilisation_pct": 10.0}
"""Laid over the sound bureau view, the good application is approved in full."""


class Answer(NamedTuple):
    """What became of the records of one batch."""

    decisions: Sequence[Decision]
    letters: Sequence[Output]
    repeats: int
    strays: int


@cache
def models() -> Scorers:
    """The shipped models."""
    return load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))


@cache
def pipeline() -> Pipeline:
    """The shipped pipeline."""
    return Pipeline(models(), POLICY)


def views() -> FakeViews:
    """A standing offer and a clean report."""
    return FakeViews(entry(), bureau(**SAFE))


def answer(
    *records: Record,
    among: Views | None = None,
    by: Pipeline | None = None,
    partitions: int = 1,
) -> Answer:
    """One batch on empty ledgers; of one partition, so that every key is at home, unless given."""
    drafts = {number: Draft(Ledger()) for number in range(partitions)}
    asked = under(among or views(), partitions=partitions)
    batch = (by or pipeline()).run(records, drafts, asked)
    letters = [output for output in batch.outputs if output.topic == DEAD_LETTERS]
    return Answer(batch.decisions, letters, batch.duplicates, len(batch.strays))
