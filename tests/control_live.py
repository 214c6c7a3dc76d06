"""An operator at a running engine: commands given, applications flowing, what came of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

from engine_runs import ANSWER_SECONDS
from typer.testing import CliRunner

from stream.cli import app
from stream.codec.decision_v1 import AUDITED, decode_audit
from stream.config import Settings
from stream.demo.channels import SCHEDULE_RATE, Kind, Schedule, build_schedule
from stream.demo.parts import Parts, counter, get
from stream.demo.publisher import Publisher
from stream.demo.reconcile import Offsets, read, read_decisions
from stream.demo.terms import LoanCase
from stream.domain.decision import Audit, Decision
from stream.domain.instant import to_ms
from stream.domain.topics import AUDIT


def key_file(settings: Settings) -> Path:
    """The private key beside the public one that the settings trust."""
    return settings.control_key_files[0].with_name("control.key")


def signed(settings: Settings) -> list[str]:
    """What every command is given with."""
    return ["--key-file", str(key_file(settings)), "--reason", "test", "--by", "duty"]


def say(settings: Settings, *arguments: str) -> tuple[int, Any]:
    """Run a verb of `tenminute control`; its exit code and its JSON."""
    options = ["--bootstrap", settings.bootstrap, "--json"]
    environment = {
        "TENMINUTE_GROUP_ID": settings.group_id,
        "TENMINUTE_CONTROL_KEY_FILES": json.dumps([str(f) for f in settings.control_key_files]),
    }
    result = CliRunner().invoke(app, ["control", *arguments, *options], env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, json.loads(result.stdout)


class Given(NamedTuple):
    """A command that every worker has acknowledged; instants in epoch milliseconds."""

    command_id: str
    issued_ms: int
    acknowledged_ms: int
    """When the last worker had applied it."""
    last_affected_ms: int
    """When the last decision without it was made."""
    workers: list[str]


def give(settings: Settings, *arguments: str) -> Given:
    """Give a command and wait for every worker's word; all of them must have decided before."""
    code, told = say(settings, *arguments, "--wait", *signed(settings))
    assert code == 0, told
    issued_ms = to_ms(told["issued_at"])
    return Given(
        told["command_id"],
        issued_ms,
        issued_ms + told["acknowledged_ms"],
        issued_ms + told["last_affected_ms"],
        told["workers"],
    )


@contextmanager
def flowing(settings: Settings, people: Sequence[LoanCase], rate: float) -> Iterator[None]:
    """Applications of `people`, evenly at `rate` a second, for as long as the context lasts."""
    whole = build_schedule(people, seed=7)
    good = [record for record in whole.records if record.kind is Kind.NORMAL]
    evenly = [
        replace(record, at_offset_ms=number * 1_000 // SCHEDULE_RATE)
        for number, record in enumerate(good)
    ]
    publisher, stop = Publisher(settings, Schedule(evenly, whole.expected), rate), Event()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(publisher.run, stop)
        try:
            yield
            assert not sending.done(), "the applications ran out before the test had ended"
        finally:
            stop.set()
            sending.result(30)


def let_flow(settings: Settings, parts: Parts, applications: int) -> None:
    """Wait until so many more have been decided, however long that takes here."""
    name = "tenminute_applications_received_total"
    enough = counter(get(settings, "/metrics")[1], name) + applications
    deadline = time.monotonic() + ANSWER_SECONDS
    while counter(get(settings, "/metrics")[1], name) < enough:
        parts.check()
        assert time.monotonic() < deadline, "the applications do not flow"
        time.sleep(0.05)


class Answer(NamedTuple):
    """A committed decision as its readers see it, and its audit record."""

    partition: int
    at_ms: int
    decision: Decision
    audit: Audit

    @property
    def first_reason(self) -> str | None:
        """Code of the first reason."""
        return self.decision.reasons[0].code if self.decision.reasons else None

    def rule(self, name: str) -> tuple[str, dict[str, Any]] | None:
        """Result and values of a rule of the trail."""
        hits = [hit for hit in self.audit.rules if hit.rule == name]
        return (hits[0].result, dict(hits[0].values)) if hits else None


def answers(bootstrap: str, since: Offsets) -> list[Answer]:
    """Every decision since then, in the order of time, with what the audit keeps of it."""
    decisions = {each.decision_id: each for each in read_decisions(bootstrap, since)}
    found = []
    for record in read(bootstrap, AUDIT, since):
        if dict(record.headers)["ce_type"] != AUDITED.encode():
            continue
        audit = decode_audit(record.value)
        decision = decisions.pop(audit.decision.decision_id, None)
        if decision is not None:  # not one from before
            assert audit.decision == decision
            found.append(Answer(record.partition, to_ms(decision.decided_at), decision, audit))
    assert decisions == {}
    return sorted(found, key=lambda each: each.at_ms)
