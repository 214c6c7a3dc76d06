"""The verbs of `tenminute`, wired to what does the work.

Heavy parts are imported when their verb runs, so `--help` answers at once and
an engine needs neither the training nor the demo extra.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from stream import __version__
from stream.config import load_settings
from stream.conform.cli import conform_app
from stream.disbursement.cli import disburse
from stream.errors import ConfigError
from stream.lab.benchmark.cli import benchmark
from stream.lab.cli import train
from stream.lab.cutoff_cli import cutoff
from stream.lab.history.cli import history
from stream.loop.cli import loop
from stream.ops.audit_cli import audit_app
from stream.ops.control_cli import control_app
from stream.ops.dlq_cli import dlq_app
from stream.ops.doctor import doctor
from stream.ops.explain import explain
from stream.ops.model_trial_cli import model_app
from stream.ops.publish import publish
from stream.ops.replay_cli import replay
from stream.ops.screen_cli import screen
from stream.ops.tail import tail
from stream.ops.topics_cli import topics_app
from stream.ops.watch_cli import watch
from stream.ops.what_if_cli import what_if
from stream.ops.whitelist_cli import whitelist_app
from stream.policy.cli import app as policy_app

EXIT_CODES = "Exit codes: 0 ok, 1 failed or drift, 2 configuration, 3 broker, 4 model."
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=f"The ten-minute loan: a real-time credit decision engine on Kafka. {EXIT_CODES}",
)
Config = Annotated[Path | None, typer.Option(help="Settings file, such as tenminute.toml.")]


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Hold the options of the command itself."""
    del version


@app.command(epilog="Example: tenminute engine --config tenminute.toml --workers 2")
def engine(
    config: Config = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes.")] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
    json_output: Annotated[
        bool, typer.Option("--json", help="Log JSON lines on a terminal too.")
    ] = False,
) -> None:
    """Decide applications: one keeper and N workers; metrics and probes on one port."""
    from stream.edge.supervisor import Supervisor

    as_json = json_output or None
    settings = load_settings(config, workers=workers, bootstrap=bootstrap, log_json=as_json)
    raise typer.Exit(Supervisor(settings).run())


def _extra(module: str, name: str, extra: str) -> Any:  # noqa: ANN401
    """A verb that needs an extra, or one clear line on how to install it."""
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"this verb needs the package {error.name}",
            fix=f"pip install 'ten-minute-loan[{extra}]'",
        ) from None


@app.command(epilog="Example: tenminute demo --rate max --json")
def demo(
    rate: Annotated[str, typer.Option(help="Applications a second, or max.")] = "400",
    data: Annotated[
        Path | None, typer.Option(help="sba_full.csv.gz: replay real farmers and merchants.")
    ] = None,
    bootstrap: Annotated[
        str | None, typer.Option(help="Use this Kafka instead of starting one.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    json_output: Annotated[bool, typer.Option("--json", help="Closing figures as JSON.")] = False,
) -> None:
    """Watch 10,000 real applications being decided on a real Kafka, and check the sums."""
    run = _extra("stream.demo.run", "run_demo", "demo")
    options = _extra("stream.demo.run", "DemoOptions", "demo")
    raise typer.Exit(run(options(rate, data, bootstrap, workers, json_output)))


app.command()(train)
app.command()(cutoff)
app.command()(benchmark)
app.command()(history)
app.command()(publish)
app.command()(tail)
app.command()(explain)
app.command()(replay)
app.command()(what_if)
app.command()(doctor)
app.command()(disburse)
app.command()(loop)
app.command()(watch)
app.command()(screen)
app.add_typer(topics_app, name="topics")
app.add_typer(control_app, name="control")
app.add_typer(model_app, name="model")
app.add_typer(audit_app, name="audit")
app.add_typer(whitelist_app, name="whitelist")
app.add_typer(dlq_app, name="dlq")
app.add_typer(policy_app, name="policy")
app.add_typer(conform_app, name="conform")
