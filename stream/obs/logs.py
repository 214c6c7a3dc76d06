"""Structured logs: one JSON object a line on standard error, never anything of a person."""

from __future__ import annotations

import logging
import sys

import orjson
import structlog


def _render(_: object, __: str, event: structlog.typing.EventDict) -> bytes:
    return orjson.dumps(event, default=str)


def configure_logs(process: str) -> structlog.typing.FilteringBoundLogger:
    """Set up logging for this process and return its logger."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.EventRenamer("event"),
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(process=process)
    return logger
