"""From the reasons of a decision back to the leaves they are made of."""

from __future__ import annotations

import io
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest
from audit_cases import MODELS, audit_of, audits
from rich.console import Console

from stream.config import Settings
from stream.errors import ModelError
from stream.ops.memo_trees import leaves_of, trees_part
from stream.scoring.manifest import load_verified
from stream.scoring.walk import walk

SCORED = [audit_of(each) for each in audits() if audit_of(each).log_odds is not None]


@pytest.mark.parametrize("model", MODELS)
def test_the_leaves_add_up_to_each_family_to_the_last_bit(model: str) -> None:
    """Of every golden row: the way through each tree ends in the leaf that the runtime took."""
    folder = Settings().models_dir / model
    (folder,) = folder.glob("*/")
    manifest, onnx = load_verified(folder)
    for line in (folder / "golden.jsonl").read_bytes().splitlines():
        golden = msgspec.json.decode(line)
        found: dict[str, float] = defaultdict(float)
        for leaf in walk(onnx, manifest, golden["features"]):
            found[leaf.family] += leaf.log_odds
        expected = dict(zip(manifest.outputs[:-1], golden["outputs"], strict=False))
        assert expected == {family: found[family] for family in expected}


def test_a_memo_shows_the_trees_of_each_family_and_their_sum() -> None:
    """Every tree is there once, with its questions, and the sums are those of the record."""
    audit = SCORED[0]
    leaves = leaves_of(Settings(), audit)
    assert len({leaf.tree for leaf in leaves}) == len(leaves)
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(trees_part(audit, leaves))
    text = console.export_text()
    assert len(audit.contributions) == text.count("as recorded")
    assert "NOT as recorded" not in text
    assert f"tree {leaves[0].tree}" in text
    assert f"{leaves[0].steps[0].feature} " in text


def test_another_release_of_the_version_is_not_shown_as_the_one_that_decided() -> None:
    """The record's hash decides which trees are meant."""
    used = SCORED[0].decision.model
    assert used is not None
    other = msgspec.structs.replace(used, sha256="e" * 64)
    decision = msgspec.structs.replace(SCORED[0].decision, model=other)
    with pytest.raises(ModelError, match="another release than the one that decided"):
        leaves_of(Settings(), msgspec.structs.replace(SCORED[0], decision=decision))


def test_the_example_of_the_docs_is_what_the_shipped_model_says() -> None:
    """Trees, sums and the heaviest tree of the farmer in docs/models.md."""
    (folder,) = (Settings().models_dir / "farmer").glob("*/")
    manifest, onnx = load_verified(folder)
    asked, offer = 50_000_000, 37_931_981
    leaves = walk(onnx, manifest, [asked, offer, asked / offer, 1.0, 0.0, 0.0])
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    for family in manifest.families:
        own = [leaf.log_odds for leaf in leaves if leaf.family == family.id]
        total, centre = sum(own), family.centre_log_odds
        row = f"| {family.id} | {len(own)} | {total:+.6f} | {centre:+.6f} |".replace("-", "−")
        assert row in page
        assert f"{total - centre:+.6f}".replace("-", "−") in page
    heaviest = max(leaves, key=lambda leaf: (leaf.family == "M_OFFER_USE", abs(leaf.log_odds)))
    assert f"tree {heaviest.tree}: " in page
    assert f"adds {heaviest.log_odds:+.6f}" in page
