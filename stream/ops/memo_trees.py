"""The trees behind a score: each family's leaves, down to the questions that led there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stream.config import Settings
from stream.domain.decision import Audit
from stream.edge.model_folder import open_model, trusted_keys
from stream.errors import ModelError
from stream.scoring.walk import Leaf, Step, walk


def leaves_of(settings: Settings, audit: Audit) -> list[Leaf]:
    """The leaves of a recorded case, in the very release that decided it; none without a score."""
    used = audit.decision.model
    if used is None:
        return []
    folder = settings.models_dir / used.model_id / used.version
    model = open_model(folder, trusted_keys(settings))
    if model.manifest_sha256 != used.sha256:
        raise ModelError(
            f"{folder}: is another release than the one that decided",
            fix="put the release with the sha256 of the record there, or set `models_dir`",
        )
    names = model.manifest.feature_names
    return walk(model.onnx, model.manifest, [audit.features[name] for name in names])


def trees_part(audit: Audit, leaves: Sequence[Leaf]) -> RenderableType:
    """A table for each family, with the sum of its leaves beside what the record says."""
    if not leaves:
        return Text("none: the path ended before the model", style="dim")
    said = {each.family: each for each in audit.contributions}
    parts: list[RenderableType] = []
    for family, found in groupby(sorted(leaves, key=lambda leaf: leaf.family), _family):
        own = list(found)
        total = sum(leaf.log_odds for leaf in own)
        same = "as recorded" if total == said[family].log_odds else "NOT as recorded"
        head = f"{family}: {len(own)} trees, leaves add up to {total:+.6f}, {same}"
        parts += [Text(head, style="bold"), _table(own), Text()]
    return Group(*parts)


def _family(leaf: Leaf) -> str:
    return leaf.family


def _table(leaves: Sequence[Leaf]) -> Table:
    """The heaviest first, either way."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for leaf in sorted(leaves, key=lambda each: (-abs(each.log_odds), each.tree)):
        way = " and ".join(map(_words, leaf.steps))
        table.add_row(f"tree {leaf.tree}", f"{leaf.log_odds:+.6f}", way)
    return table


def _words(step: Step) -> str:
    return f"{step.feature} {'≤' if step.holds else '>'} {step.at_most:.9g}"
