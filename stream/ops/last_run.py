"""The broker a reading verb asks: the configured one, else the kept topics of the last demo.

A demo leaves its Kafka folder behind. Where nobody named a broker and none
answers at the default address, a verb starts that folder again for as long as
it runs, so that the decisions of a demo can be explained after it has ended.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from stream.broker import EmbeddedBroker
from stream.config import Settings

DEMO_BROKER_DIR = Path("demo") / "kafka"
"""Where, under the state folder, the demo keeps its broker."""

CONNECT_SECONDS_MAX = 2.0
_LISTENER = re.compile(r"^listeners=PLAINTEXT://([^,\s]+)", re.MULTILINE)


@contextmanager
def reachable(bootstrap: str | None, settings: Settings) -> Iterator[str]:
    """Bootstrap servers to read from, valid inside the context.

    `bootstrap` is what the command line said. A broker named there, in the
    settings file or in the environment is taken as it is, answering or not.
    """
    named = bootstrap is not None or "bootstrap" in settings.model_fields_set
    folder = settings.state_dir / DEMO_BROKER_DIR
    kept = (folder / "data" / "meta.properties").is_file()
    if named or not kept or _answers(settings.bootstrap):
        yield bootstrap or settings.bootstrap
        return
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    running = _running(folder)
    if running is not None:
        notes.print(f"reading from the running demo's broker at {running}", style="dim")
        yield running
        return
    why = f"no broker at {settings.bootstrap}"
    notes.print(f"{why}: starting the last demo's again, from {folder}", style="dim")
    with EmbeddedBroker(folder) as broker:
        yield broker.bootstrap


def _running(folder: Path) -> str | None:
    """Address of the broker that runs in `folder` now, if one does and answers."""
    properties = folder / "server.properties"
    if not (folder / "broker.lock").exists() or not properties.is_file():
        return None
    found = _LISTENER.search(properties.read_text(encoding="utf-8"))
    return found[1] if found and _answers(found[1]) else None


def _answers(bootstrap: str) -> bool:
    """Whether something listens at any of the addresses."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS_MAX):
                return True
        except (OSError, ValueError):
            continue
    return False
