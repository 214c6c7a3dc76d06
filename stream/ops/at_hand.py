"""What an auditor's host has at hand: the policy and models in force, and those of before."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from stream.audit.at_hand import AtHand, Older
from stream.config import Settings
from stream.edge.model_folder import trusted_keys
from stream.edge.onnx_scorer import OnnxScorer, load_models
from stream.edge.registry import versions
from stream.policy.load import load_policy


def at_hand_of(settings: Settings, policies: Iterable[Path] = ()) -> AtHand:
    """The policy in force, older ones, and every model under `models_dir`."""
    policy = load_policy(settings.policy_file)
    trusted, models_dir = trusted_keys(settings), settings.models_dir
    scorers = load_models(models_dir, policy.models, trusted)
    in_force = {(name, each.manifest.version) for name, each in scorers.items()}
    there = (
        (folder.name, version)
        for folder in sorted(models_dir.iterdir())
        for version in versions(models_dir, folder.name)
    )
    others = [
        OnnxScorer(models_dir / model / version, trusted)
        for model, version in there
        if (model, version) not in in_force
    ]
    older = Older(
        {each.sha256: each for each in map(load_policy, policies)},
        {each.manifest.onnx_sha256: each for each in others},
    )
    return AtHand(scorers, policy, older)
