"""What the disbursement side reads of a decision: the few fields it pays from, and no more.

Reading little is what lets a new field, a new reason or a new outcome appear on
`disbursement.decisions` without stopping payments.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from stream.domain.application import Channel, Fen, Segment
from stream.domain.decision import Outcome
from stream.domain.instant import to_ms

_KNOWN = frozenset(Outcome)


class Verdict(StrEnum):
    """What is done about a decision."""

    PAY = "pay"
    REFERRED = "referred"
    """A person decides: nothing is paid, nobody is told no."""
    EXPIRED = "expired"
    """The offer ended before the payment: set aside."""
    UNKNOWN = "unknown"
    """An outcome this consumer does not know is never guessed: set aside."""


class Order(msgspec.Struct, frozen=True, gc=False):
    """A decision as far as paying goes."""

    decision_id: str
    application_id: str
    applicant_token: str
    channel: Channel
    segment: Segment
    outcome: str
    approved_amount_fen: Fen
    offer_expires_at: str | None

    def verdict(self, now_ms: int) -> Verdict:
        """What to do with it at `now_ms`; ValueError when its expiry is no instant."""
        if self.outcome not in _KNOWN:
            return Verdict.UNKNOWN
        if self.outcome != Outcome.APPROVE:
            return Verdict.REFERRED
        expires = self.offer_expires_at
        if expires is not None and to_ms(expires) <= now_ms:
            return Verdict.EXPIRED
        return Verdict.PAY


_decoder = msgspec.json.Decoder(Order)


def decode_order(value: bytes) -> Order:
    """The order in a record value; msgspec.DecodeError when it is no decision."""
    return _decoder.decode(value)
