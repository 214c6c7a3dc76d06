"""`explain` finds a committed audit record on a real broker, and says when there is none."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from stream.codec.decision_v1 import decision_audit_headers, decode_audit, encode_audit
from stream.config import Settings
from stream.domain.chain import ChainHead, chain_headers, link
from stream.domain.topics import AUDIT
from stream.edge.clients import producer
from stream.ops.explain import explain

pytestmark = pytest.mark.broker

EXAMPLE = Path(__file__).parents[2] / "schemas" / "examples" / "valid"
EXPLAINED = decode_audit((EXAMPLE / "decision.audit.approve.json").read_bytes())


def run(settings: Settings, *arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(explain)
    result = CliRunner().invoke(app, [*arguments, "--bootstrap", settings.bootstrap])
    return result.exit_code, result.output


def test_explain_finds_one_among_others(settings: Settings) -> None:
    """The one asked for is shown as memo or JSON; an unknown id is one clear line and exit 1."""
    sender = producer(settings)
    for number in range(20):
        renamed = msgspec.structs.replace(
            EXPLAINED.decision, application_id=f"explained-{number:04d}"
        )
        value = encode_audit(msgspec.structs.replace(EXPLAINED, decision=renamed))
        headers = decision_audit_headers(renamed)
        # Links, as every record there: engines that start later read the last one's place.
        before, partition = ChainHead(number, bytes(32)), number % 6
        head = link(before, partition, renamed.applicant_token.encode(), value)
        headers += chain_headers(head, before)
        sender.produce(AUDIT, value, renamed.applicant_token, partition, headers=headers)
    assert sender.flush(20) == 0
    code, output = run(settings, "explained-0013")
    assert code == 0
    assert "APPROVED" in output
    assert "explained-0013" in output
    code, output = run(settings, "explained-0007", "--json")
    assert code == 0
    assert json.loads(output)["decision"]["application_id"] == "explained-0007"
    code, output = run(settings, "explained-9999")
    assert code == 1
    assert "no decision on explained-9999" in output
