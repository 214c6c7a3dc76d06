"""What is settled of a worker's partitions, asked of the broker before a snapshot is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from confluent_kafka import KafkaException

from stream.config import Settings
from stream.domain.topics import DECISIONS, INPUTS
from stream.edge.clients import consumer
from stream.edge.offsets import bounds_of, committed_of
from stream.edge.signals import no_hurry
from stream.errors import BrokerError
from stream.limits import SNAPSHOT_SECONDS
from stream.ports import Place, Positions

CALL_SECONDS = 5.0
"""Short: a snapshot that is not kept costs the next start some seconds, nothing more."""


class Settled(NamedTuple):
    """Ends below which no transaction is open, and what the group had committed after that."""

    ends: dict[Place, int]
    committed: dict[Place, int | None]

    def is_ours(self, partition: int, positions: Positions) -> bool:
        """Whether nobody has gone on from where we stand, so that our ledger holds all to the end.

        A worker that was thawed may not know yet that its partitions are another's. Whoever
        decides moves the offsets in the same transaction, so offsets that are still ours,
        asked for after the end, say that every decision below the end is ours or older.
        """
        places = [Place(topic, partition) for topic in INPUTS]
        return all(self.committed[place] in (None, positions[place]) for place in places)


def ask_settled(
    settings: Settings, partitions: Sequence[int], left: Callable[[], float] = no_hurry
) -> Settled:
    """Ends of the decisions first, then the committed offsets; BrokerError when unanswered.

    No answer is waited for longer than is `left` to let go of the partitions.
    """
    # A client of its own: the loop's cannot ask while it leaves the group.
    asker = consumer(settings, settings.group_id)
    try:
        decisions = [Place(DECISIONS, partition) for partition in partitions]
        ends = {place: bounds_of(asker, place, _call_seconds(left))[1] for place in decisions}
        inputs = [Place(topic, partition) for topic in INPUTS for partition in partitions]
        committed = committed_of(asker, inputs, _call_seconds(left))
    except KafkaException as error:
        raise BrokerError(
            f"no answer about what is settled: {error.args[0].name()}", fix="tenminute doctor"
        ) from None
    finally:
        asker.close()
    return Settled(ends, committed)


def _call_seconds(left: Callable[[], float]) -> float:
    # What is left at the end belongs to leaving the group.
    return max(0.0, min(CALL_SECONDS, left() - SNAPSHOT_SECONDS))
