"""From what a batch became to the records that leave, linked into the audit chain."""

from __future__ import annotations

from collections.abc import Mapping

from stream.batch import Batch, Settled
from stream.codec.dead_letter_v1 import dead_letter_key, encode_dead_letter
from stream.codec.decision_v1 import (
    decision_audit_headers,
    decision_headers,
    encode_audit,
    encode_dead_letter_audit,
)
from stream.codec.headers import Headers
from stream.codec.seal import Sealer
from stream.domain.chain import chain_headers, link
from stream.domain.decision import Audit, Decision
from stream.domain.draft import Draft
from stream.domain.topics import AUDIT, DEAD_LETTERS, DECISIONS
from stream.ports import Output, Record


def settle(batch: Batch, record: Record, decision: Decision, audit: Audit, value: bytes) -> None:
    """Encode what was decided, while it is at hand; `value` is the decision, encoded."""
    batch.decisions.append(decision)
    batch.settled.append(Settled(record, decision, value, encode_audit(audit)))


def encode_batch(
    batch: Batch, drafts: Mapping[int, Draft], now_ms: int, sealer: Sealer | None
) -> None:
    """Append every output, to the partition number its record came from.

    Dead letters first, then decisions; each with its audit record, so that the
    audit of a partition is one chain over everything that was settled there.
    """
    for record, error in batch.buried:
        partition, key = record.partition, dead_letter_key(record.key)
        value, headers = encode_dead_letter(record, error, now_ms, sealer)
        batch.outputs.append(Output(DEAD_LETTERS, partition, key, value, headers))
        encoded = encode_dead_letter_audit(record, error, now_ms)
        _chain(batch, drafts[partition], (partition, key), encoded)
    for record, decision, value, audit in batch.settled:
        partition, key = record.partition, record.key
        batch.outputs.append(Output(DECISIONS, partition, key, value, decision_headers(decision)))
        encoded = audit, decision_audit_headers(decision)
        _chain(batch, drafts[partition], (partition, key), encoded)


def _chain(
    batch: Batch, draft: Draft, place: tuple[int, bytes | None], encoded: tuple[bytes, Headers]
) -> None:
    """Append one audit record as the next link of its partition's chain."""
    (partition, key), (value, headers) = place, encoded
    head = link(draft.chain, partition, key, value)
    headers += chain_headers(head, draft.chain)
    draft.chain = head
    batch.outputs.append(Output(AUDIT, partition, key, value, headers))
