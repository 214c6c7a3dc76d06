"""The inventory of models, a page written from their manifests so that none is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stream.lab.card import origin, p_value
from stream.scoring.figures import Attribute, Calibration
from stream.scoring.gate import IMPACT_RATIO_MIN, breaches, crossed
from stream.scoring.manifest import Manifest, load_manifest

LEVEL_GAP = 0.15
"""A mean pd this far from the share that went bad, of that share, is named."""

HEAD = """\
# Model inventory

Part of model risk management: every model in `models/onnx`, what it is for, what was measured and
what is open. Written by `tenminute train --inventory FILE` from the manifests; do not edit.

The recipe's author answers for what a model is (`stream/lab/recipe.py`). Who validates a model, who
may put it to use, how much rests on it and when it is looked at again is for the bank to fill in:
an inventory that leaves those out is not complete.
"""


def load_all(models: Path) -> list[Manifest]:
    """The verified manifests under a folder, by model and version."""
    return [load_manifest(path.parent) for path in sorted(models.glob("*/*/manifest.json"))]


def inventory(manifests: Sequence[Manifest]) -> str:
    """Markdown: two tables of all models, then what is open of each."""
    return "\n".join(
        [
            HEAD,
            "## Models",
            "",
            "| model | version | segment | trained on | rows | licence | card | sha256 |",
            "|---|---|---|---|---|---|---|---|",
            *map(_identity, manifests),
            "",
            "## Measured on held-out rows",
            "",
            "| model | rows | bad | AUC | expected and found bad | slope | "
            "Hosmer-Lemeshow p | impact ratio |",
            "|---|---|---|---|---|---|---|---|",
            *map(_measured, manifests),
            "",
            "## Open",
            "",
            "- **All**: trained on granted loans only; what they say of applicants whom that "
            "lender refused is not known.",
            *(line for manifest in manifests for line in _open(manifest)),
            "",
        ]
    )


def _identity(manifest: Manifest) -> str:
    data = manifest.training_data
    card = f"../models/onnx/{manifest.model_id}/{manifest.version}/card.md"
    return (
        f"| {manifest.model_id} | {manifest.version} | {manifest.segment.value} | {data.name} "
        f"| {data.rows:,} | {data.licence} | [card]({card}) | `{manifest.onnx_sha256[:12]}…` |"
    )


def _measured(manifest: Manifest) -> str:
    metrics = manifest.metrics
    held_out, found = metrics.held_out, metrics.calibration
    return (
        f"| {manifest.model_id} | {held_out.rows:,} | {held_out.bad_rate:.1%} | {held_out.auc:.4f} "
        f"| {found.expected_bad:,.0f} and {found.observed_bad:,} "
        f"| {found.slope.value:.2f} ({found.slope.low:.2f} to {found.slope.high:.2f}) "
        f"| {p_value(found.hosmer_lemeshow_p)} | {_ratios(metrics.fairness.attributes)} |"
    )


def _ratios(attributes: Sequence[Attribute]) -> str:
    known = [f"{a.name} {a.impact_ratio:.2f}" for a in attributes if a.impact_ratio is not None]
    return ", ".join(known) or "too few rows"


def _open(manifest: Manifest) -> list[str]:
    """What a validator should look at first."""
    metrics, name = manifest.metrics, f"**{manifest.model_id} {manifest.version}**"
    lines = [
        f"- {name}: {each.words}. Accepted: {metrics.accepted.get(each.line, 'by nobody')}."
        f"{_from(metrics.fairness.attributes, each.line)}"
        for each in crossed(metrics.calibration, metrics.fairness)
    ]
    if metrics.out_of_time is None:
        lines.append(f"- {name}: never measured out of time, as the data has no dates.")
    else:
        lines.append(
            f"- {name}: out of time its recipe has an AUC of {metrics.out_of_time.auc:.4f} on "
            f"{metrics.out_of_time.rows:,} rows, held out {metrics.held_out.auc:.4f}."
        )
    expected, observed = metrics.fairness.expected_and_observed
    if abs(expected - observed) > LEVEL_GAP * observed:
        lines.append(
            f"- {name}: the level of the pd does not carry over: of the rows on which groups of "
            f"people are watched {expected:.1%} were expected to go bad and {observed:.1%} did."
        )
    lines += [f"- {name}: {caveat}." for caveat in manifest.caveats]
    lines += [f"- {name}: {found}" for found in _departures(metrics.calibration)]
    lines += [f"- {name}: does not pass the gate: {breach}." for breach in breaches(metrics)]
    return lines


def _from(attributes: Sequence[Attribute], line: str) -> str:
    """Where a ratio below the line comes from."""
    low = [a for a in attributes if a.name == line and (a.impact_ratio or 1.0) < IMPACT_RATIO_MIN]
    return "".join(origin(each.why) for each in low)


def _departures(found: Calibration) -> list[str]:
    if found.hosmer_lemeshow_p >= 0.05:
        return []
    gaps = [abs(part.expected - part.observed) for part in found.deciles]
    worst = gaps.index(max(gaps))
    part = found.deciles[worst]
    return [
        f"the pd is not right everywhere: in tenth {worst + 1} by pd {part.expected:.1%} were "
        f"expected to go bad and {part.observed:.1%} did."
    ]
