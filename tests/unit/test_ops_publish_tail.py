"""`publish` checks before it sends; `tail` shows lines that name nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from confluent_kafka import Consumer, Producer
from typer.testing import CliRunner

from stream.broker.mock import MockBroker
from stream.domain.topics import APPLICATIONS
from stream.ops.publish import publish
from stream.ops.tail import Row, Stream, line_of, row_of, yuan

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples" / "valid"
VALID = json.loads((EXAMPLES / "loan.applications.consumer.json").read_bytes())
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


def test_valid_lines_are_sent_as_they_stand(tmp_path: Path) -> None:
    """The record has the line's bytes, the token as key and the CloudEvents headers."""
    file = write(tmp_path / "a.jsonl", {"broken": 1}, VALID)
    with MockBroker("test") as broker:
        # Our own clients never create a topic by naming it; this one does.
        Producer({"bootstrap.servers": broker.bootstrap}).list_topics(APPLICATIONS, timeout=20)
        code, _ = run(file, "--skip-invalid", "--bootstrap", broker.bootstrap)
        assert code == 0
        reader = Consumer(
            {
                "bootstrap.servers": broker.bootstrap,
                "group.id": "test",
                "auto.offset.reset": "earliest",
            }
        )
        reader.subscribe([APPLICATIONS])
        record = reader.poll(20)
        reader.close()
    assert record is not None
    assert record.value() == json.dumps(VALID).encode()
    assert record.key() == TOKEN.encode()
    headers = dict(record.headers() or [])
    assert headers["schema_version"] == b"1"
    assert headers["ce_id"] == VALID["application_id"].encode()


@pytest.mark.parametrize(("fen", "text"), [(5_000_000, "¥50,000.00"), (5, "¥0.05"), (None, "")])
def test_yuan_is_exact(fen: int | None, text: str) -> None:
    """Fen become yuan without a float."""
    assert yuan(fen) == text


@pytest.mark.parametrize("stream", [Stream.DECISIONS, Stream.APPLICATIONS, Stream.OUTCOMES])
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
