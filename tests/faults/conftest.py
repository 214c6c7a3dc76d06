"""A real Kafka of these tests' own, and the proxy its clients cannot get round."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faults.proxy import FaultProxy
from faults.stage import Stage, set_stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A broker and its proxy for the whole run."""
    with set_stage(tmp_path_factory.mktemp("proxied")) as ready:
        yield ready


@pytest.fixture
def proxy(stage: Stage) -> Iterator[FaultProxy]:
    """The proxy, harmless at the beginning and at the end of a test."""
    stage.proxy.clear()
    yield stage.proxy
    stage.proxy.clear()
