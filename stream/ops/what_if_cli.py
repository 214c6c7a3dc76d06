"""`tenminute what-if`: another policy or model over decisions that were made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.audit.swaps import LGD
from stream.config import load_settings
from stream.errors import ConfigError
from stream.ops.replay_cli import instant


def what_if(
    policy: Annotated[
        Path | None, typer.Option(help="The policy; by default that in force.")
    ] = None,
    model: Annotated[
        list[Path] | None, typer.Option(help="Folder of a model to score with; repeatable.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Read an export instead of Kafka.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="Decided at or after.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Decided before.")] = None,
    lgd: Annotated[float, typer.Option(min=0, max=1, help="Share lost of a default.")] = LGD,
    plots: Annotated[Path | None, typer.Option(help="Folder to draw three SVGs into.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    config: Annotated[Path | None, typer.Option(help="Settings file.")] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Tell what another policy or model would have approved: rate, money, loss, who is swapped.

    Rules run again over the audit; scores are kept, but where --model gives
    another one. Each decision is judged by itself: nothing is said of the
    applications that somebody would have made after another answer.

    Exit codes: 0 told; 1 a record is unreadable, or there is no decision; 2 a
    setting or file is wrong; 3 Kafka; 4 a model is not to be trusted.

    Example: tenminute what-if --policy stricter.toml --file audit.jsonl --plots plots
    """
    from stream.ops.replay import Wanted
    from stream.ops.what_if import Asked, WhatIfJob, run

    if policy is None and not model:
        raise ConfigError("what if what?", fix="give --policy, or --model, or both")
    settings = load_settings(config, bootstrap=bootstrap)
    asked = Asked(policy or settings.policy_file, tuple(model or ()), lgd)
    wanted = Wanted(
        since_ms=instant("--from", since),
        until_ms=instant("--to", until),
        file=file,
        bootstrap=bootstrap,
    )
    job = WhatIfJob(asked, wanted)
    raise typer.Exit(run(settings, job, workers, as_json=as_json, plots=plots))
