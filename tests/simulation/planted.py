"""Classic mistakes, planted one at a time: a simulation that finds none of them proves nothing.

Each is a small change to one port, as a careless adapter or a missing guard
would make it; the loop above stays the real one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from simulation.broker import Broker
from simulation.group import NOBODY
from simulation.inbox import SimInbox
from simulation.kernel import Process
from simulation.ledgers import SimLedgers
from simulation.outlet import SimOutlet, SimOutlets
from simulation.snapshots import SimSnapshots
from simulation.world import Parts

from stream.batch import Batch
from stream.codec.decision_v1 import decode_audit
from stream.domain.chain import chain_headers, head_of, link
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.topics import AUDIT, DECISIONS, EVENTS
from stream.errors import Remedy, TransactionError
from stream.pipeline import Circumstances, Decides
from stream.ports import Identity, Ledgers, Outlets, Output, Place, Positions, Record, Serve


class NoProof(SimOutlet):
    """Offsets are sent without saying who we are, as clients before KIP-447 do."""

    def commit(self, positions: Positions, identity: Identity) -> None:
        """Nobody's offsets are not checked."""
        super().commit(positions, Identity("", NOBODY))


class OffsetsFirst(SimOutlet):
    """Offsets are committed before what they stand for is produced."""

    def send(self, outputs: Sequence[Output]) -> None:
        """Only remember."""
        self._waiting.extend(outputs)

    def commit(self, positions: Positions, identity: Identity) -> None:
        """Two transactions, in the wrong order."""
        later, self._waiting = self._waiting, []
        super().commit(positions, identity)
        self.begin()
        self._waiting = later
        super().commit({}, identity)


class AckInFinally(SimOutlet):
    """Whatever became of the batch, its offsets are committed, as Faust's agents do."""

    def commit(self, positions: Positions, identity: Identity) -> None:
        """The failure is still reported."""
        try:
            super().commit(positions, identity)
        except TransactionError:
            with suppress(TransactionError):
                self.abort()
                self.begin()
                super().commit(positions, identity)
            raise


class RetriedEnd(SimOutlet):
    """An EndTxn without an answer is sent again on the same epoch."""

    def ask(self, kind: str, handle: Callable[[], Any]) -> Any:
        """Three times."""
        for _ in range(3):
            try:
                return super().ask(kind, handle)
            except TransactionError as error:
                if kind != "end" or error.remedy is not Remedy.RECREATE:
                    raise
        return super().ask(kind, handle)


class LateIdentity(SimOutlet):
    """The identity is the client's at the commit, not the batch's; reset, it is nobody's."""

    inbox: SimInbox

    def stage(self, positions: dict[Place, int], token: object) -> None:
        """Whoever we are by now."""
        super().stage(positions, self.inbox.token)


class Forgetful(SimLedgers):
    """Recovery brings back everything but the ids that were answered."""

    def restore(
        self, partitions: Sequence[int], consumed: Positions, serve: Serve
    ) -> dict[int, Ledger]:
        """No id is known."""
        ledgers = super().restore(partitions, consumed, serve)
        for ledger in ledgers.values():
            ledger.answered.clear()
        return ledgers


class WithPipeline(Parts):
    """A worker that decides through something careless around the real pipeline."""

    def __init__(self, around: Callable[[Decides], Decides]) -> None:
        self._around = around

    def pipeline(self) -> Decides:
        """Wrapped."""
        return self._around(super().pipeline())


class Around:
    """Hands everything on to the real pipeline."""

    def __init__(self, inner: Decides) -> None:
        self._inner = inner

    def run(
        self,
        records: Sequence[Record],
        drafts: Mapping[int, Draft],
        under: Circumstances,
        mark: Callable[[str], None],
    ) -> Batch:
        """As it is."""
        return self._inner.run(records, drafts, under, mark)


class EarlyAudit(Around):
    """The audit record is taken before the promise is added; the chain is sound all the same."""

    def run(
        self,
        records: Sequence[Record],
        drafts: Mapping[int, Draft],
        under: Circumstances,
        mark: Callable[[str], None],
    ) -> Batch:
        """Decide, then write the audit anew."""
        heads = {partition: draft.chain for partition, draft in drafts.items()}
        batch = super().run(records, drafts, under, mark)
        for at, output in enumerate(batch.outputs):
            if output.topic == AUDIT:
                partition, value = output.partition, _before_promise(output)
                before = heads[partition]
                heads[partition] = head = link(before, partition, output.key, value)
                kept = [h for h in output.headers if not h[0].startswith("x-chain-")]
                headers = [*kept, *chain_headers(head, before)]
                assert head_of(headers) == head
                batch.outputs[at] = output._replace(value=value, headers=headers)
        for partition, head in heads.items():
            drafts[partition].chain = head
        return batch


def _before_promise(output: Output) -> bytes:
    """The audit record with the exposure of before; a dead letter's as it is."""
    value = output.value or b""
    if b'"exposure_after_fen"' not in value:
        return value
    audit = decode_audit(value)
    before_fen = audit.decision.exposure_before_fen
    early = msgspec.structs.replace(audit.decision, exposure_after_fen=before_fen)
    return msgspec.json.encode(msgspec.structs.replace(audit, decision=early))


class ReleasedByAnyone(Around):
    """An event releases the application it names, whoever sent it."""

    def run(
        self,
        records: Sequence[Record],
        drafts: Mapping[int, Draft],
        under: Circumstances,
        mark: Callable[[str], None],
    ) -> Batch:
        """Take the event for one of the applicant's own."""
        heard = [_as_applicants(r, drafts) if r.topic == EVENTS else r for r in records]
        return super().run(heard, drafts, under, mark)


def _as_applicants(record: Record, drafts: Mapping[int, Draft]) -> Record:
    event = msgspec.json.decode(record.value or b"")
    promise = drafts[record.partition].promise_of(event["application_id"])
    if promise is None:
        return record
    value = msgspec.json.encode(event | {"applicant_token": promise[0]})
    return record._replace(key=promise[0].encode(), value=value)


class OfTheLedgerOnly(Draft):
    """What was promised, without what the batches under way promise."""

    __slots__ = ()

    def exposure_fen(self, applicant_token: str) -> int:
        """As the ledger at the bottom has it."""
        below = self._base
        while isinstance(below, Draft):
            below = below._base
        return below.exposure_fen(applicant_token)


class OldExposure(Around):
    """Exposure is looked up in what has been applied."""

    def run(
        self,
        records: Sequence[Record],
        drafts: Mapping[int, Draft],
        under: Circumstances,
        mark: Callable[[str], None],
    ) -> Batch:
        """On drafts that look past each other."""
        for draft in drafts.values():
            draft.__class__ = OfTheLedgerOnly
        return super().run(records, drafts, under, mark)


class NoTail(SimLedgers):
    """Recovery takes a snapshot for all there is."""

    def _read(
        self, partition: int, consumed: Positions, ledger: Ledger, covered: Positions
    ) -> None:
        """Nothing of what was decided since."""
        nothing = {Place(DECISIONS, partition): sys.maxsize}
        super()._read(partition, consumed, ledger, {**covered, **nothing} if covered else {})


class WithOutlet(Parts):
    """A worker whose producers are of another make."""

    def __init__(self, outlet: type[SimOutlet]) -> None:
        self._outlet = outlet

    def outlets(self, process: Process, broker: Broker, name: str, inbox: SimInbox) -> Outlets:
        """Producers that may look at the consumer, which is what is wrong with them."""

        def made(process: Process, broker: Broker, producer: int, epoch: int) -> SimOutlet:
            outlet = self._outlet(process, broker, producer, epoch)
            if isinstance(outlet, LateIdentity):
                outlet.inbox = inbox
            return outlet

        return SimOutlets(process, broker, name, made)


class WithLedgers(Parts):
    """A worker that loses something whenever it recovers."""

    def __init__(self, ledgers: type[SimLedgers]) -> None:
        self._ledgers = ledgers

    def ledgers(self, process: Process, broker: Broker, snapshots: SimSnapshots) -> Ledgers:
        """Of that make."""
        return self._ledgers(process, broker, snapshots)


PLANTED: dict[str, Parts] = {
    "drop the fencing check": WithOutlet(NoProof),
    "commit before produce": WithOutlet(OffsetsFirst),
    "forget dedupe": WithLedgers(Forgetful),
    "ack in finally": WithOutlet(AckInFinally),
    "snapshot identity late": WithOutlet(LateIdentity),
    "retry EndTxn on the same epoch": WithOutlet(RetriedEnd),
    "audit before the promise": WithPipeline(EarlyAudit),
    "release by id alone": WithPipeline(ReleasedByAnyone),
    "exposure without batches under way": WithPipeline(OldExposure),
    "snapshot without its tail": WithLedgers(NoTail),
}
