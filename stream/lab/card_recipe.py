"""The parts of a model card that come from the recipe: data, search, inputs, the leak hunt."""

from __future__ import annotations

from stream.lab.hunt import Hunted
from stream.lab.leaks import ABSENCE_AUC_MAX, ALONE_AUC_MAX, GAIN_MAX
from stream.lab.recipe import Recipe, Shape
from stream.scoring.manifest import Manifest


def _shape(shape: Shape) -> str:
    return (
        f"{shape.trees} trees, {shape.leaves} leaves, rate {shape.learning_rate:g}, "
        f"{shape.min_leaf_rows} rows a leaf, L2 {shape.l2:g}"
    )


def data_and_search(recipe: Recipe) -> list[str]:
    """Where the rows come from, how they are split, what was left out, what was tried."""
    data, search = recipe.data, recipe.search
    fits = len(search.shapes) * search.folds
    return [
        f"- Path: `{data.file}`. Rows: {data.rows}. Split: {data.split}; seed {recipe.seed}.",
        *(
            f"- No input: {', '.join(f'`{c}`' for c in bar.columns)}, known at "
            f"{bar.known_at.value}: {bar.why}."
            for bar in data.barred
        ),
        f"- Search: {len(search.shapes)} declared shapes on {search.folds} inner folds of the "
        f"training rows, {fits} fits and no more (`tenminute train {recipe.model_id} --search`): "
        f"{'; '.join(map(_shape, search.shapes))}. Taken: {_shape(recipe.shape)}: {search.why}.",
        f"- The split into families is {recipe.families_why}.",
    ]


def inputs(manifest: Manifest, recipe: Recipe) -> list[str]:
    """Every input: columns behind it, family, direction with its reason."""
    direction = {1: "higher is riskier", -1: "higher is safer", 0: "free"}
    lines = [
        "| feature | from | reason family | direction | why | may be missing |",
        "|---|---|---|---|---|---|",
    ]
    for feature, spec in zip(manifest.features, recipe.features, strict=True):
        missing = "no" if feature.missing is None else f"yes, as {feature.missing:g}"
        columns = ", ".join(f"`{column}`" for column in spec.of)
        lines.append(
            f"| {feature.name} | {columns} | {feature.family} | {direction[feature.monotone]} "
            f"| {spec.why} | {missing} |"
        )
    return lines


def leaks(found: Hunted) -> list[str]:
    """What the hunt measured; a mark without an answer would have ended the training."""
    alone = max(found.alone, key=lambda name: found.alone[name])
    most = max(found.gained, key=lambda name: found.gained[name])
    lines = [
        f"Hunted on {found.rows:,} training rows before training. Of all inputs {alone} ranks best "
        f"by itself, AUC {found.alone[alone]:.3f} (marked above {ALONE_AUC_MAX}); {most} adds most "
        f"to all others, {found.gained[most]:+.3f} (above {GAIN_MAX}); the fact that a value is "
        f"missing is marked above an AUC of {ABSENCE_AUC_MAX}.",
    ]
    lines += [
        f"- `{finding.column}`, {finding.mark.value}: {finding.text}. Stays: {answer}."
        for finding, answer in found.marks
    ]
    return lines if found.marks else [*lines, "No input is marked."]
