"""Records that lie on another partition than their key's, and the way home.

A channel whose client hashes keys another way than murmur2 scatters one person
over several partitions, each with a ledger of its own. Such a record is sent on
to its right partition in the same transaction, unread: there it is decided, in
the order in which it arrives there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stream.batch import Batch
from stream.codec.keys import partitions_of
from stream.domain.application import Channel
from stream.errors import PoisonError
from stream.limits import DEAD_LETTER_BYTES_MAX
from stream.ports import Output, Record

_CHANNEL = re.compile(rb'"channel"\s*:\s*"([a-z0-9_]{1,40})"')
_CHANNELS = frozenset(channel.value for channel in Channel)
FORWARDED = "x-forwarded-from"
"""Header of a record sent on: the partition and offset it came from."""


def forward_strays(records: Sequence[Record], partitions: int, batch: Batch) -> list[Record]:
    """The records that are where they belong; the others go to `batch.outputs`, stamped as sent.

    A record without a key belongs nowhere and stays: the decoder names the fault. One that may
    not fit into a transaction of ours, and is far too large to be decided, is a dead letter here.
    """
    keyed = [record.key for record in records if record.key is not None]
    homes = iter(partitions_of(keyed, partitions))
    here = []
    for record in records:
        home = record.partition if record.key is None else next(homes)
        if home == record.partition:
            here.append(record)
            continue
        if _size(record) > DEAD_LETTER_BYTES_MAX:
            batch.bury(record, PoisonError("oversize", "$", "too large to be sent on"))
            continue
        origin = f"{record.partition}/{record.offset}".encode()
        headers = [*record.headers, (FORWARDED, origin)]
        batch.strays.append(record)
        stamped = max(0, record.timestamp_ms)
        batch.outputs.append(Output(record.topic, home, record.key, record.value, headers, stamped))
    return here


def _size(record: Record) -> int:
    """Bytes of key, value and headers."""
    parts = [record.key, record.value, *(part for header in record.headers for part in header)]
    return sum(len(part) for part in parts if part is not None)


def channel_of(record: Record) -> str:
    """The channel a stray names, or `unknown`; it is sent on unread, so this is a glance only."""
    found = _CHANNEL.search(record.value or b"")
    name = found[1].decode() if found else ""
    return name if name in _CHANNELS else "unknown"
