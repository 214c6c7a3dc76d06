"""A logger for clients whose broker is away on purpose."""

from __future__ import annotations

import logging

QUIET = logging.getLogger("chaos.kafka")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False
