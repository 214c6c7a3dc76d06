"""Every error the engine raises on purpose.

TenMinuteError
├── PoisonError        the record can never be decided: dead-letter it, go on
└── FatalError         stop loudly; the message says what to mend
    ├── ConfigError    a setting, policy or file is wrong (exit 2)
    ├── BrokerError    Kafka cannot be reached or refuses (exit 3)
    └── ModelError     a model or its manifest cannot be trusted (exit 4)

No message carries a value that came from a person: it names the field, the
shape of what was there, what was expected, and what to do.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of the command, the same for every verb."""

    OK = 0
    FAILED = 1
    CONFIG = 2
    BROKER = 3
    MODEL = 4


class TenMinuteError(Exception):
    """Base of all errors raised on purpose."""


class PoisonError(TenMinuteError):
    """A record that can never be decided, with the closed reason of its dead letter."""

    def __init__(self, reason: str, field: str, detail: str) -> None:
        """Keep the dead letter's `reason`, the `field` at fault and a value-free `detail`."""
        super().__init__(f"{reason}: {field}: {detail}")
        self.reason = reason
        self.field = field
        self.detail = detail


class FatalError(TenMinuteError):
    """Stop loudly: `fix` is the one line that tells the reader what to do."""

    exit_code = Exit.FAILED

    def __init__(self, message: str, *, fix: str) -> None:
        """Say what is wrong in `message` and what to do in `fix`."""
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        """One line: what is wrong, then what to do."""
        return f"{self.message} — {self.fix}"


class ConfigError(FatalError):
    """A setting, a policy or a file is wrong."""

    exit_code = Exit.CONFIG


class BrokerError(FatalError):
    """Kafka cannot be reached, started or refuses what the engine needs."""

    exit_code = Exit.BROKER


class ModelError(FatalError):
    """A model or its manifest cannot be trusted."""

    exit_code = Exit.MODEL
