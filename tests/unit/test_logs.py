"""The log is JSON lines for collectors and words for people at a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest
import structlog

from stream.config import Settings, as_environment
from stream.obs.logs import configure_logs


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("terminal", "as_json", "words"),
    [(False, False, False), (False, True, False), (True, True, False), (True, False, True)],
)
def test_words_only_at_a_terminal_that_does_not_ask_for_json(
    capsysbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    *,
    terminal: bool,
    as_json: bool,
    words: bool,
) -> None:
    """Piped, or with --json, a line is one object; else event and fields stand in it."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    configure_logs("worker-0", as_json=as_json).info("batch", received=500)
    (line,) = capsysbinary.readouterr().err.splitlines()
    assert b"batch" in line
    assert b"500" in line
    assert line.startswith(b"{") is not words
    if not words:
        found = json.loads(line)
        assert (found["event"], found["process"], found["received"]) == ("batch", "worker-0", 500)


def test_children_are_told() -> None:
    """The supervisor's processes log as it does."""
    assert as_environment(Settings(log_json=True))["TENMINUTE_LOG_JSON"] == "true"
