"""The AsyncAPI document is valid and complete, and what the guides show runs."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from confluent_kafka import Consumer
from jsonschema import Draft7Validator

from stream.broker.mock import MockBroker
from stream.codec.application_v1 import check_envelope, decode_application
from stream.domain.outcome import LoanOutcome

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
DOCUMENT: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text(encoding="utf-8"))


def references(node: object) -> list[str]:
    if isinstance(node, list):
        return [found for part in node for found in references(part)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if "$ref" in node else []
    return own + [found for part in node.values() for found in references(part)]


def snippet(guide: str) -> str:
    found = re.search(r"```python\n(.*?)```", (ROOT / "docs" / guide).read_text(), re.S)
    assert found
    return found[1]


def test_document_follows_the_standard() -> None:
    """The document is valid under the official schema of AsyncAPI 3.0.0."""
    path = Path(__file__).with_name("vendor") / "asyncapi-3.0.0.json"
    official = json.loads(path.read_text(encoding="utf-8"))
    assert not [error.message for error in Draft7Validator(official).iter_errors(DOCUMENT)]


def test_every_reference_exists() -> None:
    """References lead to a file of schemas/ or to a place in the document."""
    for reference in references(DOCUMENT):
        file, _, pointer = reference.partition("#")
        assert not file or (SCHEMAS / file).is_file()
        node: Any = DOCUMENT
        for step in pointer.strip("/").split("/") if pointer else ():
            node = node[step]


def test_every_schema_and_valid_example_is_in_the_document() -> None:
    """No schema file and no valid example is left out."""
    named = {Path(reference).name for reference in references(DOCUMENT)}
    files = {path.name for path in SCHEMAS.glob("*.schema.json")}
    examples = {path.name for path in SCHEMAS.glob("examples/valid/*.json")}
    assert files | examples <= named


def test_channel_guide_publishes_a_valid_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """The snippet, run as printed, puts an application on the topic that the engine admits."""
    with MockBroker("test") as broker:
        monkeypatch.setenv("KAFKA_BOOTSTRAP", broker.bootstrap)
        exec(compile(snippet("channel-guide.md"), "channel-guide.md", "exec"), {})
        settings = {
            "bootstrap.servers": broker.bootstrap,
            "group.id": "test",
            "auto.offset.reset": "earliest",
        }
        reader = Consumer(settings)
        reader.subscribe(["loan.applications"])
        record = reader.poll(20)
        reader.close()
    assert record is not None
    assert record.error() is None
    check_envelope(decode_application(record.value()), record.key(), record.headers() or [])


@pytest.mark.parametrize(
    ("guide", "example"),
    [
        ("channel-guide.md", "loan.application-events.cancel.json"),
        ("reviewer-guide.md", "loan.referral-outcomes.approve.json"),
    ],
)
def test_a_guides_record_is_the_schemas_example(guide: str, example: str) -> None:
    """What a guide shows to be published is the example that the schemas are tested with."""
    found = re.findall(r"```text\n(\{.*?\})\n```", (ROOT / "docs" / guide).read_text(), re.S)
    expected = json.loads((SCHEMAS / "examples" / "valid" / example).read_bytes())
    assert [expected] == [json.loads(shown) for shown in found]


def test_disbursement_guide_pays_once() -> None:
    """The snippet pays a loan once, nothing else at all, and reports a valid outcome."""
    space: dict[str, Any] = {}
    exec(compile(snippet("disbursement-guide.md"), "disbursement-guide.md", "exec"), space)
    paid: set[Any] = set()
    payments: list[int] = []

    def pay(_token: str, amount_fen: int) -> str:
        payments.append(amount_fen)
        return "2026-11-24T08:00:02Z"

    examples = SCHEMAS / "examples" / "valid"
    approve = (examples / "disbursement.decisions.approve.json").read_bytes()
    refer = (examples / "disbursement.decisions.refer.json").read_bytes()
    unknown = approve.replace(b'"approve"', b'"approve_in_part"')
    again = approve.replace(b'"d_0123', b'"d_9999')
    now = datetime(2026, 11, 24, 8, tzinfo=UTC)
    ended = datetime(2027, 1, 1, tzinfo=UTC)
    assert space["handle"](approve, paid, pay, ended) is None
    values = (approve, approve, again, unknown, refer)
    outcomes = [space["handle"](value, paid, pay, now) for value in values]
    assert payments == [5_000_000]
    assert outcomes[1:] == [None, None, None, None]
    assert msgspec.convert(outcomes[0], LoanOutcome).amount_fen == 5_000_000
