"""Made-up decisions of one test run, and what the consumer under test owes for each."""

from __future__ import annotations

import hashlib
import time
from typing import Any, NamedTuple

import orjson

from stream.codec.headers import Headers, cloud_event
from stream.codec.keys import partition_of
from stream.domain.instant import from_ms

DAY_MS = 86_400_000
BASE_FEN = 1_000_000
PREFIX = "conform-"
"""How an application id of any test run begins."""


class Case(NamedTuple):
    """One decision as it goes out; `pay_fen` is None where nothing may be paid."""

    rule: str
    document: dict[str, Any]
    pay_fen: int | None
    headers: tuple[tuple[str, str | bytes | None], ...] = ()

    @property
    def decision_id(self) -> str:
        """What is paid once."""
        return str(self.document["decision_id"])

    @property
    def key(self) -> bytes:
        """Key of the record."""
        return str(self.document["applicant_token"]).encode()

    @property
    def value(self) -> bytes:
        """Bytes of the record; a second call gives the same ones."""
        return orjson.dumps(self.document)

    def all_headers(self) -> list[tuple[str, str | bytes | None]]:
        """The engine's headers, then those of the case."""
        when = str(self.document["decided_at"])
        common: Headers = cloud_event("loan.decision.v1", "/conform", self.decision_id, when)
        return [*common, *self.headers]


class Cast:
    """Makes decisions whose people, ids and amounts no other run has."""

    def __init__(self, run: str, partitions: int) -> None:
        """`run` goes into every id; people are dealt to all `partitions` in turn."""
        self.run = run
        self.partitions = partitions
        self._number = 0

    def approval(self, rule: str, place: int | None = None, **changes: Any) -> Case:  # noqa: ANN401
        """An approval to be paid in full, with `changes` laid over its fields.

        `place` is the partition its person belongs to; without it the next in turn.
        """
        document = self._document(place) | changes
        return Case(rule, document, int(document["approved_amount_fen"]))

    def approvals(self, rule: str, count: int) -> list[Case]:
        """That many of them, spread over all partitions."""
        return [self.approval(rule) for _ in range(count)]

    def unpaid(self, rule: str, place: int | None = None, **changes: Any) -> Case:  # noqa: ANN401
        """A decision like an approval but for `changes`, for which nothing may be paid."""
        return self.approval(rule, place, **changes)._replace(pay_fen=None)

    def referral(self, rule: str, place: int | None = None) -> Case:
        """A decision for a person to take; it carries the amount asked for, and approves none."""
        now_ms = _now_ms()
        wait = {
            "queue": "credit", "trigger": "W_NOT_LISTED", "overridable": True,
            "due_at": from_ms(now_ms + DAY_MS),
        }  # fmt: skip
        reason = {
            "rank": 1, "code": "W_NOT_LISTED", "family": "W", "text_en": "No standing offer",
            "text_zh": "无预授信", "form_c1": 24,
        }  # fmt: skip
        return self.unpaid(
            rule, place, outcome="refer", approved_amount_fen=0, referral=wait, reasons=[reason],
            offer_id=None, offer_expires_at=None,
        )  # fmt: skip

    def second_stage(self, first: Case, rule: str, **changes: Any) -> Case:  # noqa: ANN401
        """The decision after a reviewer's answer on the same application: another decision id."""
        fresh = self._document()
        kept = ("application_id", "applicant_token", "requested_amount_fen")
        document = fresh | {name: first.document[name] for name in kept}
        amount_fen = int(first.document["requested_amount_fen"])
        review = {
            "review_id": f"review-{self.run}-{self._number:06d}", "reviewer_id": "reviewer-1",
            "answer": "approve", "answered_at": fresh["decided_at"],
        }  # fmt: skip
        own = {"stage": 2, "review": review, "approved_amount_fen": amount_fen}
        document = document | own | changes
        return Case(rule, document, int(document["approved_amount_fen"]))

    def _document(self, place: int | None = None) -> dict[str, Any]:
        """A plain approval of the first stage, every field of the schema given."""
        now_ms = _now_ms()
        self._number += 1
        amount_fen = BASE_FEN + 100 * self._number
        name = f"{self.run}-{self._number:06d}"
        place = self._number % self.partitions if place is None else place
        return {
            "decision_id": f"d_{_hex('decision', name)}", "application_id": f"{PREFIX}{name}",
            "applicant_token": self._token(name, place),
            "channel": "h5", "segment": "consumer", "product_code": "consumer_loan",
            "outcome": "approve", "requested_amount_fen": amount_fen,
            "approved_amount_fen": amount_fen, "counter_offer": False, "term_months": 36,
            "price_tier": "t2", "apr_bps": 435, "offer_id": f"offer-{name}",
            "offer_expires_at": from_ms(now_ms + 30 * DAY_MS), "reasons": [], "referral": None,
            "score_points": 668, "pd": 0.0125, "band": "b", "model": None,
            "policy": {"policy_id": "conformance", "sha256": "0" * 64}, "list_version": 1,
            "exposure_before_fen": 0, "exposure_after_fen": amount_fen,
            "application_sha256": _hex("application", name) * 2,
            "submitted_at": from_ms(now_ms - 1_000), "decided_at": from_ms(now_ms),
            "deadline_met": True, "synthetic": True,
            "consent_signed_at": from_ms(now_ms - DAY_MS),
            "consent_expires_at": from_ms(now_ms + 30 * DAY_MS), "stage": 1, "review": None,
        }  # fmt: skip

    def _token(self, name: str, partition: int) -> str:
        """A made-up person whose key belongs to `partition`."""
        salt = 0
        while True:
            token = f"a1_{_hex(f'token/{salt}', name)}"
            if partition_of(token.encode(), self.partitions) == partition:
                return token
            salt += 1


def _hex(kind: str, name: str) -> str:
    return hashlib.sha256(f"conform/{kind}/{name}".encode()).hexdigest()[:32]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
