"""LightGBM trees as one ONNX TreeEnsembleRegressor with a target per reason family.

LightGBM sends a value left when it is at most a float64 threshold. ONNX compares
in float32, so each threshold is rounded down to the float32 at or below it: for
every float32 value the two comparisons then agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from stream.lab.fit import Fit
from stream.lab.recipe import Recipe
from stream.scoring.manifest import FEATURES_KEY, ML_DOMAIN, SCALING_KEY, scaling_text

OPSET = {"ai.onnx": 17, ML_DOMAIN: 3}
IR_VERSION = 9


def round_down(threshold: float) -> float:
    """The largest float32 that is not above `threshold`."""
    nearest = np.float32(threshold)
    if float(nearest) > threshold:
        nearest = np.nextafter(nearest, np.float32(-np.inf))
    return float(nearest)


@dataclass(slots=True)
class _Ensemble:
    """The flat attribute lists of the operator, filled tree by tree."""

    tree_ids: list[int] = field(default_factory=list)
    node_ids: list[int] = field(default_factory=list)
    feature_ids: list[int] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    true_ids: list[int] = field(default_factory=list)
    false_ids: list[int] = field(default_factory=list)
    leaf_tree_ids: list[int] = field(default_factory=list)
    leaf_node_ids: list[int] = field(default_factory=list)
    leaf_targets: list[int] = field(default_factory=list)
    leaf_weights: list[float] = field(default_factory=list)

    def _reserve(self, tree: int, node: int) -> int:
        """Append an empty node and return its position in the lists."""
        self.tree_ids.append(tree)
        self.node_ids.append(node)
        for numbers in (self.feature_ids, self.true_ids, self.false_ids):
            numbers.append(0)
        self.modes.append("LEAF")
        self.values.append(0.0)
        return len(self.node_ids) - 1

    def add_tree(self, tree: int, root: dict[str, Any], target: int) -> None:
        """Append a tree whose leaves all add to `target`; nodes are numbered in preorder."""
        first = len(self.node_ids)

        def add(node: dict[str, Any]) -> int:
            at = self._reserve(tree, len(self.node_ids) - first)
            if "leaf_value" in node:
                self.leaf_tree_ids.append(tree)
                self.leaf_node_ids.append(self.node_ids[at])
                self.leaf_targets.append(target)
                self.leaf_weights.append(node["leaf_value"])
            else:
                assert node["decision_type"] == "<=", "only numeric splits are exported"
                self.feature_ids[at] = node["split_feature"]
                self.modes[at] = "BRANCH_LEQ"
                self.values[at] = round_down(node["threshold"])
                self.true_ids[at] = add(node["left_child"])
                self.false_ids[at] = add(node["right_child"])
            return self.node_ids[at]

        add(root)


def _features_used(node: dict[str, Any]) -> set[int]:
    """Columns a tree looks at."""
    if "leaf_value" in node:
        return set()
    children = _features_used(node["left_child"]) | _features_used(node["right_child"])
    return children | {node["split_feature"]}


def tree_family(recipe: Recipe, root: dict[str, Any]) -> int:
    """Number of the one family a tree belongs to; an assertion fails where it uses two."""
    families = {recipe.families.index(recipe.features[i].family) for i in _features_used(root)}
    assert len(families) == 1, "a tree must stay inside one reason family"
    return families.pop()


def grown_trees(fit: Fit) -> list[dict[str, Any]]:
    """The trees that split at least once; one that does not adds nothing when it stays at zero."""
    roots = [tree["tree_structure"] for tree in fit.booster.dump_model()["tree_info"]]
    stumps = [root for root in roots if "left_child" not in root]
    assert all(root["leaf_value"] == 0.0 for root in stumps), "a constant tree belongs to no family"
    return [root for root in roots if "left_child" in root]


def family_log_odds(recipe: Recipe, fit: Fit, rows: npt.NDArray[np.float32]) -> list[list[float]]:
    """Outputs as the source computes them: LightGBM's own leaves, summed by family, then base."""
    leaves = fit.booster.predict(rows, pred_leaf=True, num_threads=1)
    outputs = np.zeros((len(rows), len(recipe.families) + 1))
    outputs[:, -1] = fit.base_log_odds
    for tree, info in enumerate(fit.booster.dump_model()["tree_info"]):
        if "left_child" not in info["tree_structure"]:
            continue
        target = tree_family(recipe, info["tree_structure"])
        values = [fit.booster.get_leaf_output(tree, leaf) for leaf in range(info["num_leaves"])]
        outputs[:, target] += np.asarray(values)[leaves[:, tree].astype(int)]
    return [[float(value) for value in row] for row in outputs]


def to_onnx(recipe: Recipe, fit: Fit) -> bytes:
    """The model file: input `features`, output `log_odds` with a column per family and the base."""
    ensemble = _Ensemble()
    for tree, root in enumerate(grown_trees(fit)):
        ensemble.add_tree(tree, root, tree_family(recipe, root))
    width = len(recipe.families) + 1
    # ONNX Runtime drops base_values of a target that no tree adds to: the base is a tree too.
    base = {"leaf_value": fit.base_log_odds}
    ensemble.add_tree(ensemble.tree_ids[-1] + 1, base, width - 1)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["log_odds"],
        domain=ML_DOMAIN,
        n_targets=width,
        aggregate_function="SUM",
        post_transform="NONE",
        nodes_treeids=ensemble.tree_ids,
        nodes_nodeids=ensemble.node_ids,
        nodes_featureids=ensemble.feature_ids,
        nodes_modes=ensemble.modes,
        nodes_values=ensemble.values,
        nodes_truenodeids=ensemble.true_ids,
        nodes_falsenodeids=ensemble.false_ids,
        target_treeids=ensemble.leaf_tree_ids,
        target_nodeids=ensemble.leaf_node_ids,
        target_ids=ensemble.leaf_targets,
        target_weights=ensemble.leaf_weights,
    )
    rows = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", len(recipe.names)])
    out = helper.make_tensor_value_info("log_odds", TensorProto.FLOAT, ["rows", width])
    model = helper.make_model(
        helper.make_graph([node], recipe.model_id, [rows], [out]),
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid(domain, v) for domain, v in OPSET.items()],
        producer_name="tenminute",
        producer_version=recipe.version,
    )
    helper.set_model_props(
        model,
        {FEATURES_KEY: ",".join(recipe.names), SCALING_KEY: scaling_text(recipe.scaling)},
    )
    onnx.checker.check_model(model)
    encoded: bytes = model.SerializeToString(deterministic=True)
    return encoded
