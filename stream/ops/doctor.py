"""`tenminute doctor`: every part an engine stands on, looked at once, with what to do.

No check stops the next one, so that one run tells everything there is to mend.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from rich.console import Console
from rich.table import Table

from stream.broker.place import FREE_BYTES_MIN
from stream.config import Settings, load_settings
from stream.edge.lmdb_store import StoreReader
from stream.edge.onnx_scorer import load_models
from stream.edge.processes import topic_ends
from stream.errors import BrokerError, ConfigError, Exit, FatalError
from stream.ops.memo_words import lasting
from stream.ops.topics import diff
from stream.policy.load import load_policy

PYTHON_MIN = (3, 11)
ANSWER_SECONDS_MAX = 5.0
DRIFTS_SHOWN_MAX = 3
SCHEMAS = (
    "bureau.features",
    "decision.audit",
    "decision.audit.checkpoints",
    "decision.audit.checkpoints.headers",
    "decision.audit.dead-letter",
    "decision.audit.headers",
    "decision.control",
    "decision.control.acks",
    "decision.control.headers",
    "disbursement.decisions",
    "loan.application-events",
    "loan.applications",
    "loan.applications.dlq.headers",
    "loan.funnel",
    "loan.outcomes",
    "loan.referral-outcomes",
    "record.headers",
    "whitelist.entries",
)
"""What must lie in the schemas folder, each as NAME.schema.json."""


class Finding(NamedTuple):
    """One check's result; `fix` is empty when all is well, `code` is the exit code it asks for."""

    check: str
    detail: str
    fix: str
    code: Exit


def doctor(
    *,
    config: Annotated[Path | None, typer.Option(help="Configuration file.")] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Check Python, disk, policy, models, schemas, broker, topics and store; say what to mend.

    Exits with the code of the worst finding: 4 model, 3 broker, 2 configuration, 1 other.

    Example: tenminute doctor --config tenminute.toml
    """
    findings = examine(load_settings(config, bootstrap=bootstrap))
    if json_output:
        rows = [each._asdict() | {"ok": each.code == Exit.OK} for each in findings]
        typer.echo(json.dumps(rows))
    else:
        Console(highlight=False).print(table_of(findings))
    raise typer.Exit(max(each.code for each in findings))


def examine(settings: Settings) -> list[Finding]:
    """All findings, in the order an engine needs the parts."""
    checks: tuple[tuple[str, Callable[[Settings], str]], ...] = (
        ("python", _python),
        ("disk", _disk),
        ("policy", _policy),
        ("models", _models),
        ("schemas", _schemas),
        ("broker", _broker),
    )
    findings = [_finding(name, check, settings) for name, check in checks]
    if findings[-1].code == Exit.OK:
        findings.append(_finding("topics", _topics, settings))
        findings.append(_finding("store", _store, settings))
    else:
        fix = "mend the broker first"
        findings.append(Finding("topics", "not looked at: no broker", fix, Exit.BROKER))
        findings.append(_finding("store", _store_alone, settings))
    return findings


def table_of(findings: list[Finding]) -> Table:
    """A row for each finding, with the fix beneath what is wrong."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for each in findings:
        mark = "[green]✓[/]" if each.code == Exit.OK else "[red]✗[/]"
        table.add_row(mark, each.check, each.detail.replace("[", r"\["))
        if each.fix:
            table.add_row("", "", f"[yellow]fix:[/] {each.fix}".replace(" [", r" \["))
    return table


def _finding(name: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(name, check(settings), "", Exit.OK)
    except FatalError as error:
        return Finding(name, error.message, error.fix, error.exit_code)


def _python(_settings: Settings) -> str:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < PYTHON_MIN:
        raise FatalError(f"Python {found} is too old", fix="install Python 3.11 or later")
    return f"Python {found}"


def _disk(settings: Settings) -> str:
    folder = settings.state_dir.absolute()
    while not folder.is_dir():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_MIN:
        raise FatalError(
            f"{free / 1e9:.2f} GB free under {settings.state_dir}, 1 GB is needed",
            fix="free some space, or set `state_dir` to another disk",
        )
    return f"{free / 1e9:,.0f} GB free under {settings.state_dir}"


def _policy(settings: Settings) -> str:
    policy = load_policy(settings.policy_file)
    return f"{policy.policy_id}, sha256 {policy.sha256[:12]}…, {len(policy.segments)} segments"


def _models(settings: Settings) -> str:
    names = _model_names(settings)
    manifests = [scorer.manifest for scorer in load_models(settings.models_dir, names).values()]
    return ", ".join(f"{each.model_id} {each.version}" for each in manifests) + ", hashes right"


def _model_names(settings: Settings) -> list[str]:
    """The models the policy asks for; every model there is, when the policy cannot be read."""
    try:
        segments = load_policy(settings.policy_file).segments.values()
        return sorted({segment.model for segment in segments})
    except ConfigError:
        return sorted(path.name for path in settings.models_dir.glob("*") if path.is_dir())


def _schemas(settings: Settings) -> str:
    fix = "restore the folder from the release, or set `schemas_dir`"
    for name in SCHEMAS:
        file = settings.schemas_dir / f"{name}.schema.json"
        try:
            Draft202012Validator.check_schema(json.loads(file.read_bytes()))
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror}", fix=fix) from error
        except (ValueError, SchemaError) as error:
            raise ConfigError(f"{file}: is no JSON Schema", fix=fix) from error
    return f"{len(SCHEMAS)} in {settings.schemas_dir}"


def _broker(settings: Settings) -> str:
    admin = AdminClient({**settings.kafka, "bootstrap.servers": settings.bootstrap, "log_level": 0})
    try:
        found = admin.list_topics(timeout=ANSWER_SECONDS_MAX)
    except KafkaException as error:
        raise BrokerError(
            f"no answer from {settings.bootstrap}: {error.args[0].name()}",
            fix="start the broker, or set `bootstrap` or --bootstrap to where it runs",
        ) from error
    brokers = len(found.brokers)
    return f"cluster {found.cluster_id}, brokers: {brokers}, at {settings.bootstrap}"


def _topics(settings: Settings) -> str:
    drifts = diff(settings.bootstrap, partitions=settings.partitions)
    if drifts:
        shown = ", ".join(f"{each.topic} {each.what}" for each in drifts[:DRIFTS_SHOWN_MAX])
        more = len(drifts) - DRIFTS_SHOWN_MAX
        raise BrokerError(
            f"{len(drifts)} differ: {shown}" + (f" and {more} more" if more > 0 else ""),
            fix="run: tenminute topics apply",
        )
    return "as declared"


def _store(settings: Settings) -> str:
    """How far the store is behind its topics, and since when."""
    said = _store_alone(settings)
    _, ends = topic_ends(settings)
    with StoreReader(settings.store_dir) as store:
        held = store.offsets()
    behind = sum(max(0, end - held.get(place, 0)) for place, end in ends.items())
    ahead = [place for place, at in held.items() if at > ends.get(place, 0)]
    if ahead:
        raise ConfigError(
            f"{settings.store_dir} was fed from another cluster: ahead of {ahead[0][0]}",
            fix="start the engine, whose keeper builds it anew, or set `state_dir`",
        )
    if behind:
        raise FatalError(
            f"{said}; {behind:,} records behind its topics",
            fix="start the engine, or wait if it runs; then look at the keeper's log",
        )
    return f"{said}; level with its topics"


def _store_alone(settings: Settings) -> str:
    """What the store holds, and whether it is fresher than the policy's bound."""
    with StoreReader(settings.store_dir) as store:
        counts = store.counts()
        with store.reading() as views:
            age_ms = time.time_ns() // 1_000_000 - views.fresh_at_ms
            fresh_at_ms = views.fresh_at_ms
    held = ", ".join(f"{number:,} {topic}" for topic, number in counts.items())
    if fresh_at_ms == 0:
        raise FatalError(f"{held}; never caught up", fix="start the engine and wait until ready")
    try:
        age_max_ms = load_policy(settings.policy_file).store_age_max_ms
    except ConfigError:
        return f"{held}; {lasting(age_ms)} old"  # the policy has its own finding
    if age_ms > age_max_ms:
        raise FatalError(
            f"{held}; {lasting(age_ms)} old, the policy allows {lasting(age_max_ms)}",
            fix="start the engine: its keeper brings the store up to date",
        )
    return f"{held}; {lasting(age_ms)} old"
