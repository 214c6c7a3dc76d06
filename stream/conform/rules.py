"""What each rule of the disbursement series means, and how to mend a consumer that breaks it."""

from __future__ import annotations

from typing import NamedTuple

IDEMPOTENT = (
    "store decision_id with the payment, unique, in the same database transaction; "
    "skip an id you have"
)
COMMITTED = "set isolation.level=read_committed; kafka-python and Java default to read_uncommitted"
PAY_THEN_COMMIT = (
    "switch auto-commit off and commit the offset only after the payment is stored; "
    "a new group starts at the earliest offset"
)


class Rule(NamedTuple):
    """One line of the closing table."""

    meaning: str
    fix: str


RULES: dict[str, Rule] = {
    "connected": Rule(
        "the consumer reads the decisions topic and reports on the outcomes topic",
        "start it on the two topics, with offsets from the earliest, before the time-out",
    ),
    "approval": Rule("a committed approval is paid once, in full", PAY_THEN_COMMIT),
    "amount": Rule(
        "of a counter-offer the approved amount is paid",
        "pay approved_amount_fen, never requested_amount_fen",
    ),
    "referral": Rule(
        "nothing is paid on a referral", "pay when outcome is approve, on nothing else"
    ),
    "aborted": Rule("nothing of an aborted transaction is paid", COMMITTED),
    "open": Rule("nothing is paid before its transaction is committed, all of it after", COMMITTED),
    "repeat": Rule("a decision delivered three times is paid once", IDEMPOTENT),
    "second stage": Rule(
        "a reviewer's approval after a referral is paid, a refusal is not",
        "treat a decision of stage 2 like any other: its own decision_id, paid on approve",
    ),
    "one loan": Rule(
        "a second decision on a paid application is not a second loan",
        "refuse a payment for an applicant_token and application_id that has one",
    ),
    "late": Rule(
        "an approval that comes late is paid",
        "do not filter on decided_at, deadline_met or the record's timestamp",
    ),
    "expired": Rule(
        "nothing is paid after offer_expires_at",
        "compare offer_expires_at with the clock before you pay; set the decision aside",
    ),
    "unknown field": Rule(
        "unknown fields and headers change nothing",
        "ignore what you do not know; read no header as text unless you need it",
    ),
    "burst": Rule("many at once are each paid once", PAY_THEN_COMMIT),
    "kill while paying": Rule(
        "killed while it pays, it loses nothing and doubles nothing",
        f"{PAY_THEN_COMMIT}; {IDEMPOTENT}",
    ),
    "repeat after a kill": Rule(
        "what was paid before a kill is not paid again after it",
        f"{IDEMPOTENT}: on disk, not in memory",
    ),
    "kill at rest": Rule(
        "killed at rest, it doubles nothing and goes on",
        f"{IDEMPOTENT}: on disk, not in memory",
    ),
    "unknown outcome": Rule(
        "an outcome it does not know is not paid",
        "anything but approve and refer: set it aside or stop, and ask us",
    ),
}

ANNOUNCED = Rule(
    "each outcome is a valid record: schema, headers, key, partition, instants",
    "compare with schemas/loan.outcomes.schema.json and schemas/record.headers.schema.json; "
    "key = applicant_token, partitioner=murmur2_random in librdkafka clients",
)
NOTHING_ELSE = Rule(
    "nothing is announced that was never decided",
    "take decision_id from the decision as it stands",
)
LATENCY = Rule("from commit to outcome", "")
