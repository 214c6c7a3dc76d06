"""What an auditor's host has at hand: the policy and models in force, and those of before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from stream.audit.at_hand import AtHand, Older
from stream.codec.signatures import Trusted
from stream.config import Settings
from stream.edge.model_folder import trusted_keys
from stream.edge.onnx_scorer import OnnxScorer, load_models
from stream.edge.registry import versions
from stream.errors import ModelError
from stream.policy.load import load_policy


def _say_nothing(_line: str) -> None:
    """For a second process, whose first has told."""


def on_standard_error(line: str) -> None:
    """For a verb, whose standard output is for its figures."""
    typer.echo(line, err=True)


def at_hand_of(
    settings: Settings, policies: Iterable[Path] = (), tell: Callable[[str], None] = _say_nothing
) -> AtHand:
    """The policy in force, older ones, and every model under `models_dir` that can be opened.

    A retired key, or a model still being made, must not stop the replay of what others decided:
    `tell` hears which are not at hand, and why. ModelError for a model in force.
    """
    policy = load_policy(settings.policy_file)
    trusted, models_dir = trusted_keys(settings), settings.models_dir
    scorers = load_models(models_dir, policy.models, trusted)
    in_force = {(name, each.manifest.version) for name, each in scorers.items()}
    there = (
        (folder.name, version)
        for folder in sorted(models_dir.iterdir())
        for version in versions(models_dir, folder.name)
    )
    folders = [models_dir / m / version for m, version in there if (m, version) not in in_force]
    others = _readable(folders, trusted, tell)
    older = Older(
        {each.sha256: each for each in map(load_policy, policies)},
        {each.manifest_sha256: each for each in others},
    )
    return AtHand(scorers, policy, older)


def _readable(
    folders: Iterable[Path], trusted: Trusted, tell: Callable[[str], None]
) -> list[OnnxScorer]:
    found = []
    for folder in folders:
        try:
            found.append(OnnxScorer(folder, trusted))
        except ModelError as error:
            tell(f"not at hand: {error}")
    return found
