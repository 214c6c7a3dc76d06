"""A worker waits for a store that is of its cluster and holds all that its topics held."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stream.config import Settings, load_settings
from stream.domain.topics import BUREAU, WHITELIST
from stream.edge import processes
from stream.edge.lmdb_store import StoreReader, StoreWriter
from stream.edge.processes import wait_for_store
from stream.errors import ConfigError
from stream.obs.health import HealthFile, read_health

ENDS = {(WHITELIST, 0): 5, (BUREAU, 0): 3}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a folder of their own."""
    found = load_settings(state_dir=tmp_path)
    found.health_dir.mkdir(parents=True)
    return found


def _keep(settings: Settings, cluster: str, offers: int, fresh_at_ms: int | None) -> None:
    """What a keeper has left behind."""
    with StoreWriter(settings.store_dir) as store:
        store.bind(cluster)
        store.apply([], {**ENDS, (WHITELIST, 0): offers}, fresh_at_ms)


def _wait(settings: Settings, stop: threading.Event) -> StoreReader | None:
    """As a worker whose broker says: cluster `here`, five offers, three reports."""
    health = HealthFile(settings.health_dir, "worker-0", 1)
    return wait_for_store(settings, ("here", ENDS), health, stop)


def _stop_after(seconds: float) -> threading.Event:
    stop = threading.Event()
    threading.Timer(seconds, stop.set).start()
    return stop


def test_a_store_that_holds_everything_is_taken(settings: Settings) -> None:
    """Of this cluster, at the ends, and once fresh."""
    _keep(settings, "here", 5, 1_000)
    store = _wait(settings, threading.Event())
    assert store is not None
    store.close()


@pytest.mark.parametrize(
    ("cluster", "offers", "fresh_at_ms"),
    [("elsewhere", 5, 1_000), ("here", 4, 1_000), ("here", 5, None)],
    ids=["of another cluster", "behind", "never fresh"],
)
def test_a_store_that_does_not_is_waited_for(
    settings: Settings, cluster: str, offers: int, fresh_at_ms: int | None
) -> None:
    """Nothing is decided on it: the worker says it waits, until it is told to stop."""
    _keep(settings, cluster, offers, fresh_at_ms)
    assert _wait(settings, _stop_after(0.5)) is None
    [health] = read_health(settings.health_dir)
    assert (health.state, health.ready) == ("starting", False)
    assert "store" in health.detail


def test_a_store_that_is_not_there_yet_is_waited_for(settings: Settings) -> None:
    """The keeper may take its time to make one."""
    assert _wait(settings, _stop_after(0.3)) is None


def test_a_store_that_never_gets_there_stops_the_worker_loudly(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound it is a fault for a person to look at."""
    monkeypatch.setattr(processes, "STORE_READY_SECONDS_MAX", 0.2)
    _keep(settings, "here", 4, 1_000)
    with pytest.raises(ConfigError, match="store behind its topics"):
        _wait(settings, threading.Event())
