"""Structured logs on standard error, one line each, never anything of a person.

A JSON object a line, which is what collectors read; on a terminal, words for people.
"""

from __future__ import annotations

import logging
import sys

import orjson
import structlog


def _render(_: object, __: str, event: structlog.typing.EventDict) -> bytes:
    return orjson.dumps(event, default=str)


_words = structlog.dev.ConsoleRenderer(timestamp_key="at", sort_keys=False)


def _render_words(logger: object, name: str, event: structlog.typing.EventDict) -> bytes:
    return _words(logger, name, event).encode()


def _processors(process: str, *, plain: bool) -> list[structlog.typing.Processor]:
    def named(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"process": process, **event}

    return [
        named,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.EventRenamer("event"),
        _render_words if plain else _render,
    ]


def configure_logs(process: str, *, as_json: bool = False) -> structlog.typing.FilteringBoundLogger:
    """Set up logging for this process and return its logger; `as_json` also on a terminal."""
    plain = sys.stderr.isatty() and not as_json
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    structlog.configure(
        processors=_processors(process, plain=plain),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def unconfigured(process: str) -> structlog.typing.FilteringBoundLogger:
    """A logger of the same lines for a process that has not set up logging."""
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.BytesLogger(sys.stderr.buffer),
        processors=_processors(process, plain=sys.stderr.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return logger
