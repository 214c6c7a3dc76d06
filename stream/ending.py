"""Why a worker ends by itself, and what a person does about it."""

from __future__ import annotations

from stream.domain.topics import APPLICATIONS
from stream.errors import BrokerError
from stream.ports import Place


class RefusalError(BrokerError):
    """What no waiting mends: someone changed offsets or topics under the engine."""


class OffsetLostError(RefusalError):
    """The committed offset lies outside what the partition still holds."""

    def __init__(self, place: Place, offset: int, low: int, end: int) -> None:
        """Name the place, where reading should go on, and what is there."""
        super().__init__(
            f"{place.topic}/{place.partition}: to be read from {offset}, holds {low} to {end}",
            fix="records were deleted or the topic was made anew; see the runbook, 'offsets'",
        )


class OffsetMissingError(RefusalError):
    """Decisions exist, but the group has no offset: deleted, or another group's."""

    def __init__(self, partition: int, ids: int) -> None:
        """Name the partition and how much its ledger holds."""
        super().__init__(
            f"{APPLICATIONS}/{partition}: no committed offset, yet {ids} ids are decided",
            fix="group deleted or renamed? see the runbook, 'offsets'; never start at latest",
        )


class PartitionsRaisedError(RefusalError):
    """More partitions than declared: people would move between ledgers."""

    def __init__(self, found: int, declared: int) -> None:
        """Name both counts."""
        super().__init__(
            f"{APPLICATIONS} has at least {found} partitions, declared are {declared}",
            fix="partition counts are fixed for life; see the runbook, 'partitions'",
        )


class HandedOnError(BrokerError):
    """Other partitions are owed than those being restored, or none any more: begin anew."""

    def __init__(self) -> None:
        """Nothing for a person to do."""
        super().__init__("partitions changed hands while restoring", fix="none, it goes on")


class TimeUpError(BrokerError):
    """Told to stop, and the batch under way was not known to have committed in time."""

    def __init__(self) -> None:
        """Say that nothing is lost, and where to look."""
        super().__init__(
            "told to stop, and the broker did not end the batch under way in time",
            fix="start it again, the batch is decided once; "
            "see the runbook, 'a worker that had to be killed'",
        )
