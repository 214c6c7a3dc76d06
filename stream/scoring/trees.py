"""What a model file may hold, checked before the runtime sees it.

An ONNX file can name any operator, keep its weights elsewhere, or hold a
threshold that is no number; the runtime loads much of that without a word. A
model of ours is one tree ensemble and nothing beside it: its inputs are the
manifest's features in the manifest's order, every tree stays inside one reason
family and adds to that family's output, and every number is finite.
https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from stream.errors import ModelError
from stream.scoring.manifest import FEATURES_KEY, Manifest
from stream.scoring.model_file import ModelFile, OddModelError, Values, read_model_file
from stream.scoring.wire import WireError

FIX: Final = "rebuild the model with `tenminute train`; a file like this is never to be trusted"

_NODE_LISTS = ("nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes",
               "nodes_truenodeids", "nodes_falsenodeids")  # fmt: skip
_LEAF_LISTS = ("target_treeids", "target_nodeids", "target_ids")
_REAL_LISTS = ("nodes_values", "target_weights", "nodes_hitrates", "base_values")
_FIXED = {"aggregate_function": ["SUM"], "post_transform": ["NONE"]}
_KNOWN = {*_NODE_LISTS, *_LEAF_LISTS, *_FIXED, "n_targets", "nodes_missing_value_tracks_true",
          *_REAL_LISTS}  # fmt: skip


def check_model(onnx: bytes, manifest: Manifest, file: str) -> None:
    """ModelError unless the bytes are exactly the kind of model that the manifest describes."""
    try:
        found = read_model_file(onnx)
        _check_envelope(found, manifest)
        _check_numbers(found.attributes)
        _check_trees(_Ensemble.of(found.attributes), manifest)
    except WireError as error:
        raise ModelError(f"{file}: is no ONNX model: {error}", fix=FIX) from None
    except OddModelError as error:
        raise ModelError(f"{file}: {error}", fix=FIX) from None


def _check_envelope(found: ModelFile, manifest: Manifest) -> None:
    """Versions and the order of the inputs are the manifest's."""
    if found.ir_version != manifest.ir_version or found.opset != manifest.opset:
        raise OddModelError("its format or operator versions are not the manifest's")
    names = found.metadata.get(FEATURES_KEY, "")
    if names != ",".join(manifest.feature_names):
        raise OddModelError(
            "its inputs, as it names them itself, are not the manifest's features in their order"
        )


def _check_numbers(attributes: dict[str, Values]) -> None:
    """Nothing unknown, every number finite, sums as they are."""
    unknown = sorted(set(attributes) - _KNOWN)
    if unknown:
        raise OddModelError(f"has the unknown attribute {unknown[0][:40]}")
    for name in _REAL_LISTS:
        values = np.asarray(attributes.get(name, []), dtype=np.float64)
        if not np.isfinite(values).all():
            at = int(np.flatnonzero(~np.isfinite(values))[0])
            raise OddModelError(f"{name}[{at}] is not a finite number")
    for name, expected in _FIXED.items():
        if attributes.get(name, expected) != expected:
            raise OddModelError(f"its {name} is not {expected[0]}")


class _Ensemble(NamedTuple):
    """The trees as parallel lists, as the operator has them."""

    trees: Sequence[int]
    nodes: Sequence[int]
    columns: Sequence[int]
    branches: Sequence[bool]
    yes: Sequence[int]
    no: Sequence[int]
    leaves: Sequence[tuple[int, int, int]]
    """Tree, node and output of each weight."""
    targets: int

    @classmethod
    def of(cls, attributes: dict[str, Values]) -> _Ensemble:
        """The lists, when all are there and of one length."""
        lists = [attributes.get(name, []) for name in (*_NODE_LISTS, "nodes_values")]
        leaves = [attributes.get(name, []) for name in (*_LEAF_LISTS, "target_weights")]
        if len({len(each) for each in lists}) != 1 or len({len(each) for each in leaves}) != 1:
            raise OddModelError("its lists of nodes or leaves differ in length")
        trees, nodes, columns, modes, yes, no, _ = lists
        if not set(modes) <= {"BRANCH_LEQ", "LEAF"}:
            raise OddModelError("a node compares otherwise than with BRANCH_LEQ")
        targets = _whole(attributes.get("n_targets", []))
        return cls(
            _whole(trees),
            _whole(nodes),
            _whole(columns),
            [mode == "BRANCH_LEQ" for mode in modes],
            _whole(yes),
            _whole(no),
            list(zip(*map(_whole, leaves[:3]), strict=True)),
            targets[0] if len(targets) == 1 else 0,
        )


def _whole(values: Values) -> list[int]:
    whole = [value for value in values if isinstance(value, int)]
    if len(whole) != len(values):
        raise OddModelError("an id in its lists is no whole number")
    return whole


def _check_trees(ensemble: _Ensemble, manifest: Manifest) -> None:
    """Each tree is whole, and of one family from its columns to its output."""
    if ensemble.targets != len(manifest.outputs):
        raise OddModelError("its number of outputs is not the manifest's")
    at = {place: i for i, place in enumerate(zip(ensemble.trees, ensemble.nodes, strict=True))}
    if len(at) != len(ensemble.nodes):
        raise OddModelError("a node is there twice")
    reached = set(_children(ensemble, at))
    roots = [tree for i, tree in enumerate(ensemble.trees) if i not in reached]
    if sorted(roots) != sorted(set(ensemble.trees)):
        raise OddModelError("a tree has not exactly one root")
    outputs: dict[int, int] = {}
    left = {i for i, branch in enumerate(ensemble.branches) if not branch}
    for tree, node, output in ensemble.leaves:
        if not 0 <= output < ensemble.targets or outputs.setdefault(tree, output) != output:
            raise OddModelError(f"tree {tree} adds to an output of another family")
        if at.get((tree, node)) not in left:
            raise OddModelError(f"tree {tree} has a weight at no leaf, or two at one")
        left.discard(at[tree, node])
    if left:
        raise OddModelError("a leaf has no weight")
    families = [*(feature.family for feature in manifest.features)]
    for tree, column, branch in zip(
        ensemble.trees, ensemble.columns, ensemble.branches, strict=True
    ):
        if not branch:
            continue
        if not 0 <= column < len(families):
            raise OddModelError(f"tree {tree} asks for a feature that the manifest has not")
        if families[column] != manifest.outputs[outputs[tree]]:
            raise OddModelError(
                f"tree {tree} asks for {manifest.feature_names[column]}, which is not of the "
                "family of its output"
            )


def _children(ensemble: _Ensemble, at: dict[tuple[int, int], int]) -> Iterator[int]:
    """Where each branch leads: to a later node of its own tree, and no node from two."""
    seen = set[int]()
    for i, branch in enumerate(ensemble.branches):
        if not branch:
            continue
        tree = ensemble.trees[i]
        for child in (at.get((tree, ensemble.yes[i]), -1), at.get((tree, ensemble.no[i]), -1)):
            if child <= i or child in seen:
                raise OddModelError(f"tree {tree} leads to a node that is none of its own")
            seen.add(child)
            yield child
