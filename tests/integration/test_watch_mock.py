"""The watch on the mock broker: outcomes in, the guard's command out, also over a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import structlog
from confluent_kafka import Producer
from watch_records import approval, outcome

from stream.broker.mock import MockBroker
from stream.codec.decision_v1 import decision_audit_headers, encode_audit
from stream.config import Settings, load_settings
from stream.domain.outcome import OutcomeEvent
from stream.domain.topics import ACKS, AUDIT, CONTROL, OUTCOMES
from stream.edge.key_pairs import GUARD, command_keys
from stream.edge.watch_book import WatchBook
from stream.errors import TenMinuteError
from stream.obs.watch_metrics import WatchMetrics
from stream.ops.control import look
from stream.ops.watch import Watcher
from stream.ops.watch_cli import folder_of

SECONDS_MAX = 40.0
LOANS, BAD = 20, 4


def _send(bootstrap: str) -> None:
    """Approvals of one day, each paid out; four of them go bad, told twice and before the rest.

    Every other one is labelled as what the watch passes over: whoever writes may label so.
    """
    client = Producer({"bootstrap.servers": bootstrap})
    for number in range(LOANS):
        audit = approval(number, 3)
        value, headers = encode_audit(audit), decision_audit_headers(audit.decision)
        if number % 2:
            headers = [(n, b"loan.dead_letter.audit.v1" if n == "ce_type" else v)
                       for n, v in headers]  # fmt: skip
        paid = outcome(audit, OutcomeEvent.DISBURSED, 4)
        bad = [outcome(audit, OutcomeEvent.DEFAULT, 5)] * 2 if number < BAD else []
        for told in [*bad, paid]:
            client.produce(OUTCOMES, msgspec.json.encode(told), b"k")
        client.produce(AUDIT, value, b"k", headers=[*headers])
    client.produce(OUTCOMES, b"no outcome", b"k")
    assert client.flush(30) == 0


def _touch(bootstrap: str) -> None:
    """The mock makes a topic when it is first named."""
    client = Producer({"bootstrap.servers": bootstrap})
    for topic in (AUDIT, OUTCOMES, CONTROL, ACKS):
        client.list_topics(topic, timeout=10)


def _stops(settings: Settings) -> dict[tuple[str, str], str]:
    return look(settings, command_keys(settings)[0]).switches.stops


def _run_until(settings: Settings, key: Path, done: Callable[[], object]) -> None:
    """A watch of its own thread, as SQLite asks, until something holds."""
    stop, faults = threading.Event(), list[TenMinuteError]()

    def run() -> None:
        try:
            metrics, log = WatchMetrics(), structlog.get_logger()
            private = GUARD.read_private(key)
            with (
                closing(WatchBook(folder_of(settings))) as book,
                closing(Watcher(settings, book, private, metrics, log)) as watcher,
            ):
                watcher.run(stop)
        except TenMinuteError as fault:  # shown by the test, not lost with the thread
            faults.append(fault)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + SECONDS_MAX
    while not done() and time.monotonic() < deadline and not faults:
        time.sleep(0.5)
    held = done()
    stop.set()
    thread.join(SECONDS_MAX)
    assert not faults, faults
    assert held


def _once(settings: Settings) -> dict[str, Any]:
    with (
        closing(WatchBook.copy_of(folder_of(settings))) as book,
        closing(Watcher(settings, book, None, WatchMetrics(), structlog.get_logger())) as watcher,
    ):
        return watcher.once(SECONDS_MAX)


def test_the_guard_commands_once_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Bad loans refer their segment by one command, which a restarted watch does not repeat."""
    GUARD.make(tmp_path / "keys")
    key = tmp_path / "keys" / "guard.key"
    with MockBroker("test") as broker:
        settings = load_settings(
            bootstrap=broker.bootstrap,
            state_dir=tmp_path / "state",
            group_id="watch-test",
            guard_key_files=[key.with_suffix(".pub")],
        )
        _touch(broker.bootstrap)
        _send(broker.bootstrap)
        _run_until(settings, key, lambda: ("guard", "consumer") in _stops(settings))
        first = _stops(settings)
        assert {("guard", "consumer")} == set(first)
        saved = _once(settings)
        rounds = iter(range(8))  # four seconds: two more looks at the budget
        _run_until(settings, key, lambda: next(rounds, None) is None)
        assert first == _stops(settings)
        assert saved == _once(settings)
        empty = settings.model_copy(update={"state_dir": tmp_path / "empty"})
        assert saved == _once(empty)
    (row,) = (row for row in saved["guard"] if row["segment"] == "consumer")
    assert (row["state"], row["due"], row["loans"], row["bad_loans"]) == (
        "refer_all", "refer_all", LOANS, BAD,
    )  # fmt: skip
    assert {LOANS} == {cohort["loans"] for cohort in saved["vintages"]}
