"""The one real Kafka that all tests marked `broker` share, and what it asks of a machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import structlog

from stream.broker import EmbeddedBroker
from stream.broker.jars import default_cache, jars_folder
from stream.broker.java import find_java
from stream.config import Settings, load_settings
from stream.errors import BrokerError
from stream.ops import topics

# A dozen brokers live for seconds each: compiling for hours of work would cost 40 % more CPU.
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


def missing_for_kafka() -> str | None:
    """What this machine must be given before a real Kafka can run on it, or None."""
    try:
        find_java()
    except BrokerError as error:
        return str(error)
    if jars_folder(default_cache()).is_dir() or shutil.which("mvn"):
        return None
    return "the broker's jars are fetched by Maven — install it (Debian: apt-get install maven)"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip real-broker tests where Kafka cannot run; under CI that is a failure instead."""
    if item.get_closest_marker("broker") is None:
        return
    missing = missing_for_kafka()
    if missing is not None and os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    if missing is not None:
        pytest.skip(missing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under CI a real-broker test that skips itself has failed: what it proves was not proved."""
    report = yield
    marked = item.get_closest_marker("broker") is not None
    if report.skipped and marked and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """A verb run in the test's own process leaves no logger that writes to its closed terminal."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A real Kafka with the declared topics; never the mock, which would prove less."""
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as running:
        topics.apply(running.bootstrap, partitions=6, replication=1)
        yield running


@pytest.fixture
def settings(broker: EmbeddedBroker, tmp_path: Path) -> Settings:
    """Settings of one test's own, on the shared broker."""
    group = f"test-{uuid4().hex[:8]}"
    return load_settings(bootstrap=broker.bootstrap, state_dir=tmp_path, group_id=group)
