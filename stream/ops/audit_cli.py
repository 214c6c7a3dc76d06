"""`tenminute audit`: keys, the notary, verification, export."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from stream.config import load_settings
from stream.domain.topics import AUDIT, CHECKPOINTS
from stream.edge.clients import require_topic
from stream.edge.key_pairs import NOTARY
from stream.errors import Exit
from stream.obs.logs import configure_logs
from stream.ops import audit
from stream.ops.audit_read import FileSource, Source
from stream.ops.last_run import reachable

FAULTS_SHOWN = 50
audit_app = typer.Typer(
    no_args_is_help=True,
    help="The audit's hash chain: watched and signed by a notary, verified by anyone.",
    epilog="Example: tenminute audit verify --public-key notary.pub",
)
Config = Annotated[Path | None, typer.Option(help="Settings file.")]
Bootstrap = Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document for machines.")]
Partition = Annotated[int | None, typer.Option(min=0, help="This partition only.")]
PublicKeys = Annotated[
    list[Path] | None, typer.Option("--public-key", help="Key a checkpoint may be signed with.")
]
File = Annotated[Path | None, typer.Option("--file", help="Read an export instead of Kafka.")]


@audit_app.command(epilog="Example: tenminute audit keygen /etc/tenminute/notary")
def keygen(folder: Annotated[Path, typer.Argument(help="Folder of the new pair.")]) -> None:
    """Make the notary's key pair: one file signs checkpoints, the other checks them."""
    private_file, public_file, name = NOTARY.make(folder)
    typer.echo(f"{private_file}: signs checkpoints; only the notary reads it")
    typer.echo(f"{public_file}: key {name}; give it to whoever verifies")


@audit_app.command(
    epilog="Example: tenminute audit notary --key-file notary.key --every-records 1000"
)
def notary(
    key_file: Annotated[Path, typer.Option(help="Private key that signs checkpoints.")],
    every_records: Annotated[int, typer.Option(min=1, help="Sign after so many records.")] = 1000,
    every_seconds: Annotated[float, typer.Option(min=0.1, help="Sign news this often.")] = 60.0,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Of /metrics; 0: none.")] = 0,
    public_key: PublicKeys = None,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Check the chain as it grows and sign where it stands; exit 1 at once when it breaks."""
    from stream.ops.notary import Notary, Pace

    settings = load_settings(config, bootstrap=bootstrap)
    private = NOTARY.read_private(key_file)
    for topic in (AUDIT, CHECKPOINTS):
        require_topic(settings.bootstrap, topic, **settings.kafka)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    earlier = NOTARY.read_public(public_key or [])
    pace = Pace(every_records, every_seconds)
    made = Notary(settings, private, pace, earlier, configure_logs("notary"))
    made.metrics.serve(settings.metrics_host, port)
    made.run(stop)


@audit_app.command(
    epilog="Example: tenminute audit verify --public-key notary.pub --file audit.jsonl --json"
)
def verify(
    partition: Partition = None,
    public_key: PublicKeys = None,
    file: File = None,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Find every audit record altered, removed, inserted, moved or cut off; exit 1 if any.

    Exit 1, too, when evidence is missing: no record, no manifest in the file, or, with a key,
    a partition of which nothing is signed.
    """
    trusted = NOTARY.read_public(public_key or [])
    with ExitStack() as stack:
        source = _source(stack, file, config, bootstrap)
        numbers = source.partitions() if partition is None else [partition]
        findings = []
        bar = stack.enter_context(_progress(as_json))
        for number in numbers:
            low, high = source.bounds(AUDIT, number)
            task = bar.add_task(f"partition {number}", total=high - low)
            advance = _Advance(bar, task, low)
            findings.append(audit.verify(source, number, trusted, advance))
            bar.update(task, completed=high - low)
        unknown = audit.unknowable(source, findings, whole=partition is None)
    sound = not unknown and all(each.sound for each in findings)
    if as_json:
        told = [_told(each) for each in findings]
        typer.echo(json.dumps({"sound": sound, "unknown": unknown, "partitions": told}))
    else:
        _show(findings, unknown, signed=bool(trusted))
    raise typer.Exit(Exit.OK if sound else Exit.FAILED)


@audit_app.command(epilog="Example: tenminute audit export --out audit.jsonl")
def export(
    out: Annotated[Path, typer.Option(help="File to write, one JSON object a line.")],
    partition: Partition = None,
    config: Config = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Write audit and checkpoints byte for byte, to be verified elsewhere; holds personal data."""
    with ExitStack() as stack:
        source = _broker(stack, config, bootstrap)
        numbers = source.partitions() if partition is None else [partition]
        for number in numbers:
            source.bounds(AUDIT, number)  # no such partition: said before a file is made
        lines = stack.enter_context(out.open("w", encoding="utf-8"))
        out.chmod(0o600)
        count = audit.write_export(source, numbers, lines)
    typer.echo(f"{out}: {count:,} records of {len(numbers)} partitions")


class _Advance:
    """Moves a progress bar along, once in a thousand records."""

    def __init__(self, bar: Progress, task: Any, low: int) -> None:  # noqa: ANN401
        self._bar, self._task, self._low, self._calls = bar, task, low, 0

    def __call__(self, offset: int) -> None:
        self._calls += 1
        if self._calls % 1000 == 0:
            self._bar.update(self._task, completed=offset - self._low)


def _source(
    stack: ExitStack, file: Path | None, config: Path | None, bootstrap: str | None
) -> Source | FileSource:
    """The export, or the broker that answers."""
    return FileSource(file) if file is not None else _broker(stack, config, bootstrap)


def _broker(stack: ExitStack, config: Path | None, bootstrap: str | None) -> Source:
    settings = load_settings(config, bootstrap=bootstrap)
    servers = stack.enter_context(reachable(bootstrap, settings))
    for topic in (AUDIT, CHECKPOINTS):
        require_topic(servers, topic, **settings.kafka)
    source = Source(settings.model_copy(update={"bootstrap": servers}))
    stack.callback(source.close)
    return source


def _progress(as_json: bool) -> Progress:
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=as_json or not console.is_terminal)


def _told(finding: audit.Finding) -> dict[str, Any]:
    return {
        **finding._asdict(),
        "sound": finding.sound,
        "faults": [fault._asdict() for fault in finding.faults],
    }


def _show(findings: list[audit.Finding], unknown: list[str], *, signed: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    wrong = [each for each in findings if not each.sound]
    for each in wrong:
        for fault in each.faults[:FAULTS_SHOWN]:
            where = f"partition {fault.partition}, offset {fault.offset}"
            console.print(
                f"[red]{fault.kind.value}[/red]: {where}, sequence {fault.sequence}: {fault.words}"
            )
        for line in each.refused[:FAULTS_SHOWN]:
            console.print(f"[red]checkpoint[/red]: {line}")
        for line in each.missing:
            console.print(f"[red]missing[/red]: {line}")
        more = len(each.faults) + len(each.refused) - 2 * FAULTS_SHOWN
        if more > 0:
            console.print(f"partition {each.partition}: and more; --json has all")
    for line in unknown:
        console.print(f"[red]unknown[/red]: {line}")
    if wrong:
        console.print(f"{len(wrong)} of {len(findings)} partitions are not as they were written")
    if wrong or unknown:
        return
    table = Table("partition", "records", "sequence", "signed to", "hash")
    for each in findings:
        row = (each.partition, each.records, each.sequence, each.signed_to)
        table.add_row(*(f"{number:,}" for number in row), each.sha256[:16])
    console.print(table)
    if signed:
        console.print("sound: every record is the link it was; signed up to the sequence shown")
    else:
        console.print(
            "every link holds; whether the tail was cut off or all rewritten only the notary's "
            "checkpoints tell: give --public-key"
        )
