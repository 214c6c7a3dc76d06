"""`tenminute replay`: decide again from the audit alone, and say what changed a decision."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.config import load_settings
from stream.domain.instant import to_ms
from stream.errors import ConfigError


def replay(
    application_id: Annotated[str | None, typer.Option(help="One application.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Decided at or after.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Decided before.")] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="One partition.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every decision.")] = False,
    file: Annotated[Path | None, typer.Option(help="Read an export instead of Kafka.")] = None,
    policy: Annotated[
        list[Path] | None, typer.Option(help="An older policy that may have decided; repeatable.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    config: Annotated[Path | None, typer.Option(help="Settings file.")] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Decide again from audit records alone: match, or changed by data, by model or by rule.

    A record is decided under the policy and models it names, where they are at
    hand (models_dir, policy_file, --policy), else under those in force.

    Exit codes: 0 all match; 1 something changed or is unreadable, or there is no
    such decision; 2 a setting or file is wrong; 3 Kafka; 4 a model is not to be trusted.

    Example: tenminute replay --from 2026-11-24T00:00:00Z --to 2026-11-25T00:00:00Z
    """
    from stream.ops.replay import ReplayJob, Wanted, run

    since_ms, until_ms = instant("--from", since), instant("--to", until)
    span = since_ms is not None or until_ms is not None
    if (application_id is not None) + (partition is not None) + everything + span != 1:
        raise ConfigError(
            "what is to be replayed?",
            fix="give --application-id, --from and --to, --partition, or --all",
        )
    settings = load_settings(config, bootstrap=bootstrap)
    wanted = Wanted(application_id, partition, since_ms, until_ms, file, bootstrap)
    job = ReplayJob(wanted, tuple(policy or ()))
    code = run(settings, job, workers, as_json=as_json)
    raise typer.Exit(code)


def instant(option: str, text: str | None) -> int | None:
    """An instant of the command line, epoch milliseconds."""
    try:
        return None if text is None else to_ms(text)
    except ValueError:
        raise ConfigError(
            f"{option}: not an instant", fix="write it as 2026-11-24T00:00:00Z"
        ) from None
