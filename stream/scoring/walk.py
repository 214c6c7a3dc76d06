"""A row's way through every tree of a model, read from the model file itself.

What a family says of a case is the sum of the leaves that the case ends in, in
the trees of that family. Nothing is run: thresholds are compared as the operator
does, in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from stream.scoring.manifest import BASE_OUTPUT, Manifest
from stream.scoring.model_file import read_model_file


class Step(NamedTuple):
    """One question on the way, and its answer: whether the feature is at most the threshold."""

    feature: str
    at_most: float
    holds: bool


class Leaf(NamedTuple):
    """Where a row ends in one tree, and what that adds to the family's log-odds of bad."""

    tree: int
    family: str
    steps: tuple[Step, ...]
    log_odds: float


class _Node(NamedTuple):
    column: int
    at_most: float
    yes: int
    no: int


def walk(onnx: bytes, manifest: Manifest, row: Sequence[float]) -> list[Leaf]:
    """The leaf of every tree but the base, for features in the manifest's order.

    The bytes must have passed `check_model`.
    """
    found = read_model_file(onnx).attributes
    lists = [
        found[f"nodes_{name}"]
        for name in ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids",
                     "falsenodeids")
    ]  # fmt: skip
    branches: dict[tuple[int, int], _Node] = {}
    for tree, node, mode, *question in zip(*lists, strict=True):
        if mode == "BRANCH_LEQ":
            branches[cast("int", tree), cast("int", node)] = _Node(*question)
    leaves = zip(
        *(found[f"target_{name}"] for name in ("treeids", "nodeids", "ids", "weights")), strict=True
    )
    values = np.asarray(row, dtype=np.float32)
    ends: dict[int, tuple[int, tuple[Step, ...]]] = {}
    told = []
    for tree, node, output, weight in cast("list[tuple[int, int, int, float]]", list(leaves)):
        family = manifest.outputs[output]
        if family == BASE_OUTPUT:
            continue
        if tree not in ends:
            ends[tree] = _end(tree, branches, manifest.feature_names, values)
        at, steps = ends[tree]
        if at == node:
            told.append(Leaf(tree, family, steps, weight))
    return told


def _end(
    tree: int,
    branches: dict[tuple[int, int], _Node],
    names: Sequence[str],
    values: np.ndarray[tuple[int], np.dtype[np.float32]],
) -> tuple[int, tuple[Step, ...]]:
    """The node that a row ends in, and the way there; a tree begins at node 0."""
    node, steps = 0, []
    while (question := branches.get((tree, node))) is not None:
        holds = bool(values[question.column] <= np.float32(question.at_most))
        steps.append(Step(names[question.column], float(question.at_most), holds))
        node = question.yes if holds else question.no
    return node, tuple(steps)
