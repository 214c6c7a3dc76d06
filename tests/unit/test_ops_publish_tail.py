"""`publish` checks before it sends; `tail` shows lines that name nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from confluent_kafka import Consumer, Producer
from typer.testing import CliRunner

from stream.broker.mock import MockBroker
from stream.domain.topics import APPLICATIONS, EVENTS
from stream.ops.publish import publish
from stream.ops.tail import tail
from stream.ops.tail_rows import Row, Stream, line_of, row_of, yuan

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples" / "valid"
VALID = json.loads((EXAMPLES / "loan.applications.consumer.json").read_bytes())
CANCEL = json.loads((EXAMPLES / "loan.application-events.cancel.json").read_bytes())
ANSWER = json.loads((EXAMPLES / "loan.referral-outcomes.approve.json").read_bytes())
TOKEN = VALID["applicant_token"]


def run(file: Path, *options: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(publish)
    result = CliRunner().invoke(app, [str(file), *options])
    return result.exit_code, result.output


def write(file: Path, *records: object) -> Path:
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return file


def test_invalid_lines_are_named_and_nothing_is_sent(tmp_path: Path) -> None:
    """A fault gives line, field and expectation without the value, exit 1 and no record."""
    file = write(tmp_path / "a.jsonl", VALID, VALID | {"term_months": 99_999})
    code, output = run(file, "--bootstrap", "127.0.0.1:1")
    assert code == 1
    assert "line 2: term_months" in output
    assert "99999" not in output
    assert "sent 0" in output


def test_dry_run_sends_nothing(tmp_path: Path) -> None:
    """A dry run needs no broker and reports in JSON."""
    code, output = run(write(tmp_path / "a.jsonl", VALID), "--dry-run", "--json")
    assert code == 0
    assert json.loads(output) == {"valid": 1, "invalid": 0, "sent": 0, "faults": []}


@pytest.mark.parametrize(
    ("kind", "record", "fault"),
    [
        ("events", CANCEL | {"application_id": None}, "application_id: missing, cancel needs it"),
        ("events", CANCEL | {"occurred_at": "2999-01-01T00:00:00Z"}, "occurred_at: in the future"),
        ("events", VALID, "event_id: missing"),
        ("reviews", ANSWER | {"approved_amount_fen": 0}, "approved_amount_fen: expected above 0"),
        ("reviews", CANCEL, "review_id: missing"),
        ("applications", CANCEL, "channel: missing"),
    ],
)
def test_each_kind_is_checked_as_the_engine_would(
    tmp_path: Path, kind: str, record: object, fault: str
) -> None:
    """What the engine would dead-letter is named before it is sent."""
    good = {"events": CANCEL, "reviews": ANSWER, "applications": VALID}[kind]
    file = write(tmp_path / "a.jsonl", good, record)
    code, output = run(file, "--topic", kind, "--dry-run")
    assert code == 1
    assert f"line 2: {fault}" in output
    assert "valid 1, invalid 1, sent 0" in output


@pytest.mark.parametrize(
    ("kind", "topic", "good", "event_type"),
    [
        ("applications", APPLICATIONS, VALID, b"loan.application.v1"),
        ("events", EVENTS, CANCEL, b"loan.application.event.v1"),
    ],
)
def test_valid_lines_are_sent_as_they_stand(
    tmp_path: Path, kind: str, topic: str, good: dict[str, str], event_type: bytes
) -> None:
    """The record has the line's bytes, the token as key and the CloudEvents headers."""
    file = write(tmp_path / "a.jsonl", {"broken": 1}, good)
    with MockBroker("test") as broker:
        # Our own clients never create a topic by naming it; this one does.
        Producer({"bootstrap.servers": broker.bootstrap}).list_topics(topic, timeout=20)
        options = ("--topic", kind, "--skip-invalid", "--bootstrap", broker.bootstrap)
        code, _ = run(file, *options)
        assert code == 0
        reader = Consumer(
            {
                "bootstrap.servers": broker.bootstrap,
                "group.id": "test",
                "auto.offset.reset": "earliest",
            }
        )
        reader.subscribe([topic])
        record = reader.poll(20)
        reader.close()
    assert record is not None
    assert record.value() == json.dumps(good).encode()
    assert record.key() == TOKEN.encode()
    headers = dict(record.headers() or [])
    assert headers["schema_version"] == b"1"
    assert headers["ce_type"] == event_type
    assert headers["ce_id"] == good.get("event_id", good["application_id"]).encode()


def test_what_was_published_can_be_followed(tmp_path: Path) -> None:
    """From the oldest: place, headers, key and value as JSON, or one line that names nobody."""
    file = write(tmp_path / "a.jsonl", CANCEL)
    app = typer.Typer()
    app.command()(tail)
    with MockBroker("test") as broker:
        Producer({"bootstrap.servers": broker.bootstrap}).list_topics(EVENTS, timeout=20)
        assert run(file, "--topic", "events", "--bootstrap", broker.bootstrap)[0] == 0
        asked = ["events", "--bootstrap", broker.bootstrap, "--from-start", "--limit", "1"]
        as_json = CliRunner().invoke(app, [*asked, "--json"]).output
        line = CliRunner().invoke(app, asked).output
    found = json.loads(as_json)
    assert (found["topic"], found["key"], found["value"]) == (EVENTS, TOKEN, CANCEL)
    assert found["headers"]["ce_id"] == CANCEL["event_id"]
    assert "cancel" in line
    assert TOKEN not in line


@pytest.mark.parametrize(("fen", "text"), [(5_000_000, "¥50,000.00"), (5, "¥0.05"), (None, "")])
def test_yuan_is_exact(fen: int | None, text: str) -> None:
    """Fen become yuan without a float."""
    assert yuan(fen) == text


@pytest.mark.parametrize(
    "stream",
    [Stream.DECISIONS, Stream.APPLICATIONS, Stream.OUTCOMES, Stream.EVENTS, Stream.REVIEWS],
)
def test_a_line_never_holds_a_whole_token(stream: Stream) -> None:
    """Human lines shorten the token and keep the application id."""
    decision = json.loads((EXAMPLES / "disbursement.decisions.refer.json").read_bytes())
    line = line_of(row_of(stream, decision, {})).plain
    assert TOKEN not in line
    assert TOKEN[:9] in line
    assert decision["application_id"] in line


def test_a_dead_letter_line_shows_reason_and_origin() -> None:
    """The line is built from headers alone."""
    headers = {
        "ce_time": "2026-11-24T08:00:00.000Z",
        "x-error-reason": "invalid",
        "x-error-field": "term_months",
        "x-error-detail": "missing",
        "x-origin-partition": "3",
        "x-origin-offset": "41",
    }
    expected = Row(headers["ce_time"], "invalid", "", "", "", "3/41", "term_months: missing")
    assert row_of(Stream.DLQ, {}, headers) == expected


def test_what_is_said_of_an_application_has_a_line() -> None:
    """An event shows its kind, a reviewer's answer what it gives."""
    who, app = f"{TOKEN[:9]}…", "app-20261124-0001"
    cancel = Row(CANCEL["occurred_at"], "cancel", "", "", "", who, app)
    assert row_of(Stream.EVENTS, CANCEL, {}) == cancel
    approve = Row(ANSWER["answered_at"], "approve", "", "", "¥30,000.00", who, app)
    assert row_of(Stream.REVIEWS, ANSWER, {}) == approve


def test_a_command_and_its_acknowledgement_have_a_line() -> None:
    """Who commands what and why; which command a worker applied, and its last decision before."""
    at = "2026-11-24T08:00:00.000Z"
    command = {"action": "stop", "scope": "segment", "name": "farmer", "issued_by": "li"}
    row = row_of(Stream.CONTROL, command | {"reason": "price error"}, {"ce_time": at})
    assert row == Row(at, "stop", "", "", "", "li", "segment farmer  price error")
    assert row_of(Stream.CONTROL, {}, {"ce_time": at}).what == "default"
    ack = {"result": "applied", "applied_at": at, "control_offset": 4, "command_id": "c-1"}
    row = row_of(Stream.ACKS, ack | {"last_affected_decided_at": at}, {})
    assert row == Row(at, "applied", "", "", "", "offset 4", f"c-1  {at}")
