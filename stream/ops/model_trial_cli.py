"""`tenminute model trial`."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from stream.config import load_settings
from stream.errors import Exit
from stream.ops.model_place_cli import Model, model_app
from stream.ops.options import AsJson, Bootstrap, Config

__all__ = ["model_app"]


@model_app.command(
    epilog="Example: tenminute model trial farmer --watch --key-file guard.key "
    "--config tenminute.toml"
)
def trial(
    model: Model,
    terms: Annotated[
        Path | None, typer.Option(help="TOML file: how much harm is too much.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, and end the trial when a rule says so.")
    ] = False,
    key_file: Annotated[
        Path | None, typer.Option(help="A guard's or operator's private key; without: advise.")
    ] = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")] = 10.0,
    seconds: Annotated[float, typer.Option(min=1, help="Longest to read without --watch.")] = 600.0,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Compare a challenger with the champion, at any time; exit 1 when its trial should stop."""
    from stream.domain.topics import ACKS, AUDIT, CONTROL, OUTCOMES
    from stream.edge.clients import require_topic
    from stream.edge.key_pairs import GUARD
    from stream.edge.signals import stop_event
    from stream.obs.logs import configure_logs
    from stream.ops.model_trial import TrialDesk, read_terms

    settings, declared = load_settings(config, bootstrap=bootstrap), read_terms(terms)
    private = GUARD.read_private(key_file) if key_file is not None else None
    stop = stop_event() if watch else None
    for topic in (AUDIT, OUTCOMES, CONTROL, ACKS):
        require_topic(settings.bootstrap, topic, **settings.kafka)
    log = configure_logs("trial", as_json=as_json)
    with closing(TrialDesk(settings, model, declared, private, log)) as desk:
        if stop is not None:
            desk.run(stop, every)
            return
        found = desk.once(seconds)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        show(found)
    raise typer.Exit(Exit.FAILED if found["due"] == "stop" else Exit.OK)


def show(found: dict[str, Any]) -> None:
    """Two tables for people: the arms, and what each rule says."""
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    if found["trial"] is None:
        console.print(f"{found['model']}: no decision was made in a trial")
        return
    about = found["trial"]
    console.print(
        f"[bold]{found['model']}: {about['challenger']} for {about['share_bps'] / 100:g} % of the "
        f"applicants against {about['champion']}[/bold], since {about['began_at']}"
        f"{'; not in force any more' if found['in_force'] is False else ''}\n"
    )
    arms = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("arm", "applicants", "approved", "no score", "loans", "bad", "bad by amount"):
        arms.add_column(name)
    for name, arm in found["arms"].items():
        arms.add_row(
            name, f"{arm['applicants']:,}", _with(arm["approved"], arm["approval_rate"]),
            f"{arm['unscored']:,}", f"{arm['loans']:,}",
            _with(arm["bad_loans"], arm["bad_rate_by_count"]), _percent(arm["bad_rate_by_amount"]),
        )  # fmt: skip
    rules = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("rule", "says", "p at any time", "stops below", ""):
        rules.add_column(name)
    for rule in found["rules"]:
        rules.add_row(
            rule["rule"], rule["words"], f"{rule['p_value']:.2g}", f"{rule['level']:.2g}",
            "stop" if rule["harm"] else "",
        )  # fmt: skip
    console.print(arms)
    console.print()
    console.print(rules)
    amount = found["approved_fen_difference"]
    if amount["estimate"] is not None:
        low, middle, high = (amount[name] / 100 for name in ("low", "estimate", "high"))
        console.print(
            f"\napproved per applicant: {middle:+,.0f} yuan ({low:+,.0f} to {high:+,.0f}); "
            f"draw, one look: chi-square p {found['draw_chi_square_p']:.2g}"
        )
    console.print(f"due: {found['due']}")


def _with(count: int, rate: float | None) -> str:
    return f"{count:,} ({_percent(rate)})"


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.2%}"
