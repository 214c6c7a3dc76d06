"""`tenminute watch`."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.config import Settings, load_settings
from stream.domain.topics import AUDIT, CONTROL, OUTCOMES

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from stream.obs.watch_metrics import WatchMetrics

PORT = 9465


def watch(
    config: Annotated[Path | None, typer.Option(help="Settings file.")] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="The guard's private key; without one it only advises.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Read to the ends, print, change nothing.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Longest to read with --once.")] = 600.0,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Of /metrics; 0: none.")] = PORT,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --once one JSON document; else log JSON lines.")
    ] = False,
) -> None:
    """Watch for drift and bad loans; tighten a segment as its bad-rate budget is used up.

    Example: tenminute watch --config tenminute.toml --key-file guard.key
    """
    settings = load_settings(config, bootstrap=bootstrap, log_json=as_json or None)
    if once:
        _look(settings, seconds, as_json=as_json)
    else:
        _run(settings, key_file, port)


def _look(settings: Settings, seconds: float, *, as_json: bool) -> None:
    """From the book as last saved to the ends of the topics, in memory."""
    from stream.edge.watch_book import WatchBook
    from stream.ops.watch import Watcher
    from stream.ops.watch_show import print_report

    _require_topics(settings)
    with (
        closing(WatchBook.copy_of(folder_of(settings))) as book,
        closing(Watcher(settings, book, None, *_seen_by())) as watcher,
    ):
        found = watcher.once(seconds)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        print_report(found)


def _run(settings: Settings, key_file: Path | None, port: int) -> None:
    from stream.edge.key_pairs import GUARD
    from stream.edge.signals import stop_event
    from stream.edge.watch_book import WatchBook
    from stream.ops.watch import Watcher

    private = GUARD.read_private(key_file) if key_file is not None else None
    stop = stop_event()
    _require_topics(settings)
    metrics, log = _seen_by(as_json=settings.log_json)
    with (
        closing(WatchBook(folder_of(settings))) as book,
        closing(Watcher(settings, book, private, metrics, log)) as watcher,
    ):
        metrics.serve(settings.metrics_host, port)
        watcher.run(stop)


def folder_of(settings: Settings) -> Path:
    """Where the book lies."""
    return settings.state_dir / "watch"


def _seen_by(*, as_json: bool = False) -> tuple[WatchMetrics, FilteringBoundLogger]:
    from stream.obs.logs import configure_logs
    from stream.obs.watch_metrics import WatchMetrics

    return WatchMetrics(), configure_logs("watch", as_json=as_json)


def _require_topics(settings: Settings) -> None:
    from stream.edge.clients import require_topic

    for topic in (AUDIT, OUTCOMES, CONTROL):
        require_topic(settings.bootstrap, topic, **settings.kafka)
