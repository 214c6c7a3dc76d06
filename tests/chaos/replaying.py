"""Every decision of a run made again from the audit topic, as `tenminute replay --all` does."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from stream.audit.replay import Replayer
from stream.audit.verdict import Verdict
from stream.config import Settings
from stream.demo.reconcile import read
from stream.domain.topics import AUDIT
from stream.ops.at_hand import at_hand_of


class Replay(NamedTuple):
    """Decisions on the audit topic, how many came out the same, and the first that did not."""

    records: int
    identical: int
    different: tuple[str, ...]


def replay_audit(settings: Settings) -> Replay:
    """All of the topic, from its first record on."""
    replayer = Replayer(at_hand_of(settings))
    counts: Counter[Verdict] = Counter()
    different = []
    for found in read(settings.bootstrap, AUDIT, {}):
        replayed = replayer.replay(found.value)
        counts[replayed.verdict] += 1
        if replayed.verdict not in (Verdict.MATCH, Verdict.NOT_A_DECISION):
            where = f"{AUDIT}/{found.partition}/{found.offset}"
            what = ", ".join(replayed.fields) or replayed.detail
            different.append(f"{where} replayed: {replayed.verdict.value}: {what}")
    records = counts.total() - counts[Verdict.NOT_A_DECISION]
    return Replay(records, counts[Verdict.MATCH], tuple(different[:20]))
