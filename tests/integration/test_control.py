"""Commands on a real Kafka: from the operator's verb to the workers and back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from confluent_kafka import Producer
from control_cases import STRANGER, command
from control_live import key_file, say, signed
from msgspec import json as msgjson
from msgspec.structs import replace
from policy_cases import POLICY
from prometheus_client import CollectorRegistry

from stream.broker.mock import MockBroker
from stream.codec.control_v1 import encode_command, encode_default
from stream.config import Settings
from stream.domain.control import AckResult
from stream.domain.decision import Decision
from stream.domain.instant import from_ms
from stream.domain.topics import CONTROL
from stream.edge.controls import Controls
from stream.edge.key_pairs import OPERATOR
from stream.errors import BrokerError
from stream.obs.control_metrics import ControlMetrics
from stream.ops import control
from stream.ops.doctor_keys import commands

pytestmark = pytest.mark.broker
MODELS = {name: segment.model for name, segment in POLICY.segments.items()}
LOG = structlog.get_logger()
ANSWER_SECONDS = 30.0


def now() -> str:
    return from_ms(time.time_ns() // 1_000_000)


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Settings:
    """Settings with a key of the test's own: what other tests command is a stranger's."""
    _, public_file, _ = OPERATOR.make(tmp_path / "keys")
    return settings.model_copy(update={"control_key_files": [public_file]})


@contextmanager
def worker(settings: Settings, name: str = "host-0") -> Iterator[tuple[Controls, ControlMetrics]]:
    """One worker's controls, caught up."""
    metrics = ControlMetrics(CollectorRegistry())
    controls = Controls(settings, name, MODELS, metrics, LOG)
    controls.catch_up()
    try:
        yield controls, metrics
    finally:
        controls.close()


def send(settings: Settings, key: bytes, value: bytes | None, headers: Any) -> None:
    client = Producer({"bootstrap.servers": settings.bootstrap})
    client.produce(CONTROL, value, key, headers=headers)
    assert client.flush(10) == 0


def await_version(controls: Controls, beyond: int) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while controls.switches.version <= beyond:
        controls.poll()
        assert time.monotonic() < deadline, "the command has not arrived in time"
        time.sleep(0.001)


def test_a_command_reaches_a_running_and_a_starting_worker(own: Settings) -> None:
    """Who was there applies it on the next poll, who comes later before its first decision."""
    with worker(own) as (running, _):
        assert running.switches.stopped("farmer", "h5", "farmer") is None
        before = running.switches.version
        code, told = say(own, "stop", "--segment", "farmer", *signed(own))
        await_version(running, before)
        with worker(own, "host-1") as (starting, _):
            stopped = {c.switches.stopped("farmer", "h5", "farmer") for c in (running, starting)}
    assert code == 0
    assert {told["command_id"]} == stopped


def test_what_is_no_trusted_command_is_refused_and_counted(own: Settings) -> None:
    """Unsigned, foreign, moved, unknown: nothing is applied, and the next command still is."""
    private = OPERATOR.read_private(key_file(own))
    key, value, headers = encode_command(command(issued_at=now()), private)
    with worker(own) as (controls, metrics):
        send(own, key, value, [])
        send(own, *encode_command(command(issued_at=now()), STRANGER))
        send(own, b"switch/segment/consumer", value, headers)
        send(own, b"\xff", b"\xff", [("x-signature", b"\xff"), ("x-key-id", None)])
        unknown = command(scope="model", name="nobody", issued_at=now())
        send(own, *encode_command(unknown, private))
        before = controls.switches.version
        offset = control.publish(own, command(scope="channel", name="h5", issued_at=now()), private)
        await_version(controls, before)
        counts = {
            sample.labels["result"]: sample.value
            for sample in next(iter(metrics.records.collect())).samples
            if sample.name.endswith("_total") and sample.value
        }
        stops = controls.switches.stops
        controls.acknowledge()
    assert stops == {("channel", "h5"): "cmd-00000001"}
    assert {"unsigned", "unknown_key", "bad_signature", "unknown_model", "applied"} <= set(counts)
    assert (counts["unsigned"], counts["bad_signature"], counts["unknown_model"]) == (2, 1, 1)
    acks = control.look(own, control.trusted_of(own)).acks
    assert [ack.result for ack in acks[offset]] == [AckResult.APPLIED]
    mine = [ack for found in acks.values() for ack in found if ack.worker == "host-0"]
    assert {"unknown_model"} <= {ack.why for ack in mine if ack.result is AckResult.REFUSED}


def test_a_signed_tombstone_resumes(own: Settings) -> None:
    """A null value under a trusted signature gives the switch back to its default."""
    private = OPERATOR.read_private(key_file(own))
    with worker(own) as (controls, _):
        before = controls.switches.version
        control.publish(own, command(issued_at=now()), private)
        await_version(controls, before)
        assert controls.switches.stopped("farmer", "h5", "farmer") == "cmd-00000001"
        before = controls.switches.version
        send(own, *encode_default("switch/segment/farmer", "cmd-00000002", now(), private))
        await_version(controls, before)
        assert controls.switches.stopped("farmer", "h5", "farmer") is None


def test_the_last_affected_decision_is_in_scope_and_before_the_command(own: Settings) -> None:
    """A worker names its latest decision within the scope; decisions elsewhere do not count."""
    example = Path(__file__).parents[2] / "schemas/examples/valid/disbursement.decisions.refer.json"
    refer = msgjson.decode(example.read_bytes(), type=Decision)
    farmer = replace(refer, segment=next(s for s in MODELS if s == "farmer"))
    shopper = replace(refer, segment=next(s for s in MODELS if s == "consumer"))
    issued = command(issued_at=now())
    at_ms = time.time_ns() // 1_000_000
    with worker(own) as (controls, _):
        controls.saw([farmer], at_ms - 40)
        controls.saw([shopper], at_ms)
        before = controls.switches.version
        offset = control.publish(own, issued, OPERATOR.read_private(key_file(own)))
        await_version(controls, before)
        controls.saw([farmer], at_ms + 10_000)
        controls.acknowledge()
    outcome = control.await_acks(own, issued, offset, 1, ANSWER_SECONDS)
    assert outcome.complete
    assert [from_ms(at_ms - 40)] == [ack.last_affected_decided_at for ack in outcome.acks]


def test_a_command_written_twice_is_measured_once(own: Settings) -> None:
    """A copy of the command in force is acknowledged with the same last decision."""
    example = Path(__file__).parents[2] / "schemas/examples/valid/disbursement.decisions.refer.json"
    refer = msgjson.decode(example.read_bytes(), type=Decision)
    farmer = replace(refer, segment=next(s for s in MODELS if s == "farmer"))
    issued, private = command(issued_at=now()), OPERATOR.read_private(key_file(own))
    at_ms = time.time_ns() // 1_000_000
    with worker(own) as (controls, _):
        controls.saw([farmer], at_ms - 40)
        before = controls.switches.version
        control.publish(own, issued, private)
        await_version(controls, before)
        before = controls.switches.version
        controls.saw([farmer], at_ms + 10_000)
        offset = control.publish(own, issued, private)
        await_version(controls, before)
        controls.acknowledge()
    outcome = control.await_acks(own, issued, offset, 1, ANSWER_SECONDS)
    assert [ack.result for ack in outcome.acks] == [AckResult.APPLIED]
    assert [from_ms(at_ms - 40)] == [ack.last_affected_decided_at for ack in outcome.acks]


def test_the_list_says_who_refused_a_command_and_why(own: Settings) -> None:
    """A stop of a model that nobody runs is not shown as if workers were yet to answer."""
    with worker(own) as (controls, metrics):
        say(own, "stop", "--model", "nobody", *signed(own))
        refused = metrics.records.labels("unknown_model")._value
        deadline = time.monotonic() + ANSWER_SECONDS
        while not refused.get():
            controls.poll()
            assert time.monotonic() < deadline, "the command has not arrived in time"
        controls.acknowledge()
    _, listed = say(own, "list")
    (row,) = [row for row in listed["in_force"] if row["name"] == "nobody"]
    assert row["refused"] == {"host-0": "unknown_model"}
    assert row["acknowledged"] == []


def test_waiting_says_who_has_not_answered(own: Settings) -> None:
    """One worker of two answers: exit 1, and the one is named."""
    arguments = ["--wait", "--workers", "2", "--seconds", "1"]
    with worker(own) as (controls, _):
        before = controls.switches.version
        _, told = say(own, "stop", "--model", "farmer", *signed(own))
        await_version(controls, before)
        controls.acknowledge()
    code, later = say(own, "resume", "--model", "farmer", "--yes", *signed(own), *arguments)
    assert (code, later["expected"], later["workers"], later["complete"]) == (1, 2, [], False)
    _, listed = say(own, "list")
    assert listed["in_force"] == []
    assert listed["version"] > told["offset"]


def test_the_doctor_says_what_is_in_force(own: Settings) -> None:
    """A stop and a limit by name, id and who has acknowledged; once taken back, that nothing is."""
    with worker(own) as (controls, _):
        _, stop = say(own, "stop", "--channel", "h5", *signed(own))
        _, limit = say(own, "limits", "--segment", "farmer", "--approvals-max", "60", *signed(own))
        await_version(controls, limit["offset"] - 1)
        controls.acknowledge()
    control.await_acks(own, command(), limit["offset"], 1, ANSWER_SECONDS)
    said = [remark.detail for remark in commands(own) if "duty" in remark.detail]
    assert said == [
        f"at most 60 approvals: segment farmer, since {limit['issued_at']} by duty "
        f"({limit['command_id']}), acknowledged by host-0",
        f"stop: channel h5, since {stop['issued_at']} by duty "
        f"({stop['command_id']}), acknowledged by host-0",
    ]
    say(own, "resume", "--channel", "h5", "--yes", *signed(own))
    say(own, "limits", "--segment", "farmer", "--default", *signed(own))
    assert next(iter(commands(own))).detail == "nothing is stopped; every limit is the policy's"


def test_an_idle_poll_costs_the_loop_nothing(own: Settings) -> None:
    """Asking for commands when there are none takes under 50 µs of CPU in the median."""
    with worker(own) as (controls, _):
        took = []
        for _ in range(1_000):
            begun = time.thread_time()
            controls.poll()
            took.append(time.thread_time() - begun)
    assert sorted(took)[500] < 50e-6


def test_without_the_topic_no_worker_starts(own: Settings) -> None:
    """A worker that cannot know what is stopped does not decide."""
    with MockBroker("loan.applications") as empty:
        elsewhere = own.model_copy(
            update={"bootstrap": empty.bootstrap, "kafka": {"allow.auto.create.topics": "false"}}
        )
        controls = Controls(elsewhere, "h-0", MODELS, ControlMetrics(CollectorRegistry()), LOG)
        with pytest.raises(BrokerError, match=r"decision\.control"):
            controls.catch_up()
        controls.close()
