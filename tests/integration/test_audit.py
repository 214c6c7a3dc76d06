"""Notary, verification, export and replay on a real broker, from their commands."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
from builders import FakeViews, at_home, bureau, entry, record, token, under
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from policy_cases import POLICY
from typer.testing import CliRunner

from stream.audit.checkpoint import Checkpoint, encode_checkpoint, named_key
from stream.audit.notary import ChainBrokenError
from stream.broker import EmbeddedBroker
from stream.cli import app
from stream.codec.signatures import new_private_key
from stream.config import Settings, load_settings
from stream.domain.chain import GENESIS
from stream.domain.draft import Draft
from stream.domain.ledger import Ledger
from stream.domain.topics import AUDIT, CHECKPOINTS
from stream.edge.chain_tail import last_heads
from stream.edge.clients import producer, transactional_producer
from stream.edge.key_pairs import NOTARY
from stream.edge.onnx_scorer import load_models
from stream.errors import BrokerError, ConfigError, FatalError
from stream.ops import topics
from stream.ops.audit_read import Source
from stream.ops.notary import Notary, Pace
from stream.pipeline import Pipeline
from stream.ports import Output

pytestmark = pytest.mark.broker

PARTITIONS = 2
MODELS = load_models(Settings().models_dir, ("farmer", "merchant", "consumer"))
LOG = structlog.get_logger()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A Kafka of this module's own: its audit topic is to be spoilt."""
    with EmbeddedBroker(tmp_path_factory.mktemp("audit-broker")) as running:
        topics.apply(running.bootstrap, partitions=PARTITIONS, replication=1)
        yield running


@pytest.fixture
def settings(broker: EmbeddedBroker, tmp_path: Path) -> Settings:
    return load_settings(
        bootstrap=broker.bootstrap,
        state_dir=tmp_path,
        group_id=f"test-{uuid4().hex[:8]}",
        partitions=PARTITIONS,
    )


def decided(first: int, ledgers: list[Ledger]) -> Sequence[Output]:
    """Audit records of forty decisions, chained on."""
    people = [token(number) for number in range(first, first + 40)]
    views = FakeViews(
        *(entry(applicant_token=name) for name in people),
        *(bureau(applicant_token=name, utilisation_pct=10.0) for name in people),
    )
    income = {"annual_income_fen": 20_000_000, "employment_years": 10}
    records = [
        at_home(
            record(applicant_token=name, application_id=f"app-{name[-8:]}", declared=income),
            PARTITIONS,
        )
        for name in people
    ]
    drafts = {number: Draft(ledger) for number, ledger in enumerate(ledgers)}
    batch = Pipeline(MODELS, POLICY).run(records, drafts, under(views, partitions=PARTITIONS))
    for number, draft in drafts.items():
        draft.apply(ledgers[number])
    return [output for output in batch.outputs if output.topic == AUDIT]


def send(settings: Settings, outputs: Sequence[Output], *, commit: bool = True) -> None:
    """One transaction with these records."""
    sender = transactional_producer(settings, f"{settings.group_id}-{uuid4().hex[:6]}")
    sender.init_transactions(20)
    sender.begin_transaction()
    for each in outputs:
        headers = list(each.headers)
        sender.produce(each.topic, each.value, each.key, each.partition, headers=headers)
    sender.flush(20)
    if commit:
        sender.commit_transaction(20)
    else:
        sender.abort_transaction(20)


def watch(notary: Notary, until: int, settings: Settings) -> None:
    """Let the notary run until so many checkpoints are on their topic."""
    stop, failed = threading.Event(), []

    def work() -> None:
        try:
            notary.run(stop)
        except FatalError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 30
    while thread.is_alive() and checkpoints(settings) < until and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    thread.join(30)
    if failed:
        raise failed[0]


def checkpoints(settings: Settings) -> int:
    source = Source(settings)
    try:
        return sum(source.bounds(CHECKPOINTS, number)[1] for number in range(PARTITIONS))
    finally:
        source.close()


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*arguments])
    return result.exit_code, result.output


def test_from_the_first_link_to_the_broken_one(settings: Settings, tmp_path: Path) -> None:
    """Chain over commits and aborts, notary resumed, export, replay; then a forger is found."""
    ledgers = [Ledger() for _ in range(PARTITIONS)]
    assert last_heads(settings, [0, 1], _serve) == {0: GENESIS, 1: GENESIS}
    first = decided(0, ledgers)
    send(settings, first)
    send(settings, decided(100, [Ledger(), Ledger()]), commit=False)
    heads = {number: ledger.chain for number, ledger in enumerate(ledgers)}
    assert heads == last_heads(settings, [0, 1], _serve)

    code, output = run("audit", "keygen", str(tmp_path))
    assert code == 0, output
    key_file, public = tmp_path / "notary.key", str(tmp_path / "notary.pub")
    assert key_file.stat().st_mode & 0o777 == 0o600
    private = NOTARY.read_private(key_file)
    notary = Notary(settings, private, Pace(1_000, 0.2), {}, LOG)
    watch(notary, 2, settings)
    shown = {s.name: s.value for m in (notary.metrics.checkpoints, notary.metrics.progress_at)
             for s in m.collect()[0].samples}  # fmt: skip
    assert shown["tenminute_notary_checkpoints_total"] == checkpoints(settings)
    assert shown["tenminute_notary_progress_timestamp_seconds"] > 0
    send(settings, decided(200, ledgers))
    watch(Notary(settings, private, Pace(10, 60), {}, LOG), 4, settings)
    assert checkpoints(settings) >= 4

    where = ("--bootstrap", settings.bootstrap)
    code, output = run("audit", "verify", "--public-key", public, *where)
    assert code == 0, output
    assert "sound" in output
    export = tmp_path / "audit.jsonl"
    assert run("audit", "export", "--out", str(export), *where)[0] == 0
    code, output = run("audit", "verify", "--file", str(export), "--public-key", public, "--json")
    assert (code, json.loads(output)["sound"]) == (0, True)
    code, output = run("replay", "--all", "--json", *where)
    assert code == 0, output
    assert json.loads(output)["verdicts"]["match"] == 80
    code, output = run("replay", "--application-id", f"app-{token(7)[-8:]}", *where)
    assert (code, "1 record in" in output) == (0, True), output
    assert run("replay", "--application-id", "app-of-nobody", *where)[0] == 1

    for verb in (("audit", "verify"), ("audit", "export", "--out", str(tmp_path / "none"))):
        result = CliRunner().invoke(app, [*verb, "--partition", "99", *where])
        assert isinstance(result.exception, ConfigError)
        assert "no such partition 99; it has 0 to 1" in str(result.exception)
    assert not (tmp_path / "none").exists()
    spoilt(export, tmp_path, public)
    forged(settings, private, public)


def spoilt(export: Path, tmp_path: Path, public: str) -> None:
    """A file with one value changed, one line gone, its tail cut off: each is told and placed."""
    lines = export.read_text(encoding="utf-8").splitlines()
    audits = [n for n, line in enumerate(lines) if json.loads(line).get("topic") == AUDIT]
    target = json.loads(lines[audits[5]])
    changed = dict(target, value=target["value"].replace('"approve"', '"refer"', 1))
    cases = {
        "altered": [*lines[: audits[5]], json.dumps(changed), *lines[audits[5] + 1 :]],
        "removed": [*lines[: audits[5]], *lines[audits[5] + 1 :]],
        "truncated": lines[: audits[-1]],
    }
    spoilt_file = tmp_path / "spoilt.jsonl"
    for kind, content in cases.items():
        spoilt_file.write_text("\n".join(content) + "\n", encoding="utf-8")
        arguments = ("--file", str(spoilt_file), "--public-key", public)
        code, output = run("audit", "verify", *arguments, "--json")
        told = json.loads(output)
        (fault,) = [fault for each in told["partitions"] for fault in each["faults"]]
        assert (code, kind) == (1, fault["kind"])
        if kind == "altered":
            assert target["offset"] == fault["offset"]
        code, output = run("audit", "verify", *arguments)
        assert code == 1
        assert kind in output
    spoilt_file.write_text("\n".join(cases["altered"]) + "\n", encoding="utf-8")
    code, output = run("replay", "--all", "--file", str(spoilt_file))
    assert code == 1
    assert "changed by rule: " in output


def forged(settings: Settings, private: Ed25519PrivateKey, public: str) -> None:
    """A record of no chain stops the notary, the engine's start and the verification."""
    sender = producer(settings)
    sender.produce(AUDIT, b"{}", b"nobody", 1)
    sender.flush(20)
    with pytest.raises(ChainBrokenError, match="offset") as raised:
        watch(Notary(settings, private, Pace(10, 60), {}, LOG), 99, settings)
    assert raised.value.partition == 1
    with pytest.raises(BrokerError, match="no link of a chain"):
        last_heads(settings, [1], _serve)
    where = ("--bootstrap", settings.bootstrap)
    code, output = run("audit", "verify", "--public-key", public, *where)
    assert code == 1
    assert "inserted: partition 1" in output
    assert run("audit", "verify", "--partition", "0", "--public-key", public, *where)[0] == 0
    other = new_private_key()
    checkpoint = Checkpoint(0, 9_999, 1, "00" * 32, "2026-11-24T08:00:00Z", named_key(other))
    key, value, headers = encode_checkpoint(checkpoint, other)
    sender.produce(CHECKPOINTS, value, key, 0, headers=[*headers])
    sender.flush(20)
    code, output = run("audit", "verify", "--partition", "0", "--public-key", public, *where)
    assert code == 1
    assert "key that is not trusted" in output
    with pytest.raises(BrokerError, match="not trusted"):
        watch(Notary(settings, private, Pace(10, 60), {}, LOG), 99, settings)


def _serve(*, moved: bool) -> None:
    """No group waits for this one."""
    del moved
