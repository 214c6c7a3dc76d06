"""A small disbursement consumer with one fault on purpose, run as a process of its own.

python payer.py FAULT BOOTSTRAP DECISIONS OUTCOMES FILE
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, Message, Producer

from stream.codec.headers import cloud_event
from stream.domain.instant import from_ms

FAULTS = ("uncommitted", "twice", "second_loan", "referrals", "commits_first")
PAYMENT_SECONDS = 0.01


class Payer:
    """Pays into a file of decisions and loans; `fault` is what it does wrong."""

    def __init__(self, fault: str, bootstrap: str, outcomes: str, file: Path) -> None:
        self.fault, self.outcomes, self.file = fault, outcomes, file
        self.paid = set(file.read_text().split()) if file.exists() else set()
        self.producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
        isolation = "read_uncommitted" if fault == "uncommitted" else "read_committed"
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": file.stem,
                # A fixed member: started again, it need not wait for its own death to be noticed.
                "group.instance.id": file.stem,
                "isolation.level": isolation,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )

    def run(self, decisions: str) -> None:
        self.consumer.subscribe([decisions])
        while True:
            messages = self.consumer.consume(100, 0.1)
            if messages and self.fault == "commits_first":
                self.consumer.commit(asynchronous=False)
            for message in messages:
                self.handle(message)
            self.producer.flush(10)
            if messages and self.fault != "commits_first":
                self.consumer.commit(asynchronous=False)

    def handle(self, message: Message) -> None:
        decision = json.loads(message.value() or b"")
        if self.fault == "commits_first":
            time.sleep(PAYMENT_SECONDS)
        if decision["outcome"] != "approve" and self.fault != "referrals":
            return
        names = {decision["decision_id"], decision["application_id"]}
        if self.fault == "second_loan":
            names.remove(decision["application_id"])
        if self.paid & names and self.fault != "twice":
            return
        self.paid |= names
        with self.file.open("a") as lines:
            lines.write(" ".join(names) + "\n")
        self.announce(decision)

    def announce(self, decision: dict[str, Any]) -> None:
        at = from_ms(time.time_ns() // 1_000_000)
        taken = ("application_id", "decision_id", "applicant_token", "channel", "segment")
        outcome = {name: decision[name] for name in taken} | {
            "outcome_id": f"o_{uuid4().hex}",
            "event": "disbursed",
            "amount_fen": decision["approved_amount_fen"],
            "occurred_at": at,
        }
        headers = cloud_event("loan.outcome.v1", "/test", str(outcome["outcome_id"]), at)
        key = decision["applicant_token"].encode()
        self.producer.produce(self.outcomes, json.dumps(outcome).encode(), key, headers=[*headers])


def main(fault: str, bootstrap: str, decisions: str, outcomes: str, file: str) -> None:
    assert fault in FAULTS
    Payer(fault, bootstrap, outcomes, Path(file)).run(decisions)


if __name__ == "__main__":
    main(*sys.argv[1:])
