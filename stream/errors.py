"""Every error the engine raises on purpose.

TenMinuteError
├── PoisonError        the record can never be decided: dead-letter it, go on
├── TransactionError   this batch did not, or may not have, committed: see `Remedy`
└── FatalError         stop loudly; the message says what to mend
    ├── ConfigError    a setting, policy or file is wrong (exit 2)
    ├── BrokerError    Kafka cannot be reached or refuses (exit 3)
    │   └── BrokerAwayError  no answer yet: asking again may mend it
    └── ModelError     a model or its manifest cannot be trusted (exit 4)

No message carries a value that came from a person: it names the field, the
shape of what was there, what was expected, and what to do.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


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


class Remedy(StrEnum):
    """What the loop does about a transaction that did not end well."""

    ABORT = "abort"
    """Known not to have committed: abort, go back to the committed offsets, same producer."""
    RECREATE = "recreate"
    """Outcome unknown: a new producer under the same id fences whatever is still open."""
    LEAVE = "leave"
    """Another process holds our identity: stop, it is the one that goes on."""
    HOLD = "hold"
    """An output topic refuses records: abort, stand still, alert, try again later."""


class TransactionError(TenMinuteError):
    """A transaction that did not commit, or of which nobody knows."""

    def __init__(self, remedy: Remedy, cause: str, topic: str | None = None) -> None:
        """Keep the `remedy`, the broker's name of the `cause`, and the refusing `topic` if any."""
        super().__init__(f"{cause}: {remedy.value}")
        self.remedy = remedy
        self.cause = cause
        self.topic = topic


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


class BrokerAwayError(BrokerError):
    """No answer from Kafka, or none that holds: to be asked again by who can wait."""


class ModelError(FatalError):
    """A model or its manifest cannot be trusted."""

    exit_code = Exit.MODEL
