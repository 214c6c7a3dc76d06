"""The fault proxy itself: each kind of harm does what its name says, on a real Kafka."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from faults.probe import QUIET, TOPIC, Probe
from faults.proxy import FaultProxy
from faults.rules import (
    break_after,
    break_before,
    delay_answer,
    delay_request,
    error_after,
    error_instead,
    lose_answer,
    nth,
    once,
    stray,
    swallow_answer,
    swallow_request,
    times,
)
from faults.wire import Api

pytestmark = pytest.mark.broker

NOT_COORDINATOR = 16
REBALANCE_IN_PROGRESS = 27
TRANSACTION_ABORTABLE = 120


def transactional(proxy: FaultProxy, **extra: str | int) -> Producer:
    """A producer behind the proxy, ready for its first transaction."""
    settings: dict[str, str | int] = {
        "bootstrap.servers": proxy.bootstrap,
        "transactional.id": uuid4().hex,
        "retry.backoff.ms": 1,
        "linger.ms": 0,
    }
    client = Producer(settings | extra, logger=QUIET)
    client.init_transactions(20)
    return client


def write(client: Producer, value: bytes, seconds: float = 10, flush_seconds: float = 10) -> None:
    """One committed record in a transaction of its own; the commit is given `seconds`."""
    client.begin_transaction()
    client.produce(TOPIC, value, partition=0)
    client.flush(flush_seconds)
    client.commit_transaction(seconds)


def committed(proxy: FaultProxy, begin: int, last: bytes = b"") -> list[bytes]:
    """What a reader of committed records sees from an offset on, up to the record `last`.

    Without a `last` one is written: what stands before it has ended one way or the other.
    """
    until = last or uuid4().hex.encode()
    if not last:
        write(transactional(proxy), until)
    reader = Consumer({"bootstrap.servers": proxy.bootstrap, "group.id": "reader"}, logger=QUIET)
    reader.assign([TopicPartition(TOPIC, 0, begin)])
    values: list[bytes] = []
    try:
        while until not in values:
            message = reader.poll(20)
            assert message is not None, f"{until!r} was not committed, only {values}"
            values.append(message.value())
    finally:
        reader.close()
    return values if last else values[:-1]


@pytest.fixture
def begin(proxy: FaultProxy) -> int:
    """The end of the topic before the test."""
    reader = Consumer({"bootstrap.servers": proxy.bootstrap, "group.id": "reader"}, logger=QUIET)
    end = reader.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=10)[1]
    reader.close()
    return end


def test_clients_know_no_other_way(proxy: FaultProxy) -> None:
    """The broker tells clients behind the proxy the proxy's address and no other."""
    admin = AdminClient({"bootstrap.servers": proxy.bootstrap}, logger=QUIET)
    told = {f"{b.host}:{b.port}" for b in admin.list_topics(timeout=10).brokers.values()}
    assert {proxy.bootstrap} == told
    assert proxy.calls[Api.METADATA] > 0


def test_a_lost_answer_is_of_a_request_that_was_done(proxy: FaultProxy, begin: int) -> None:
    """The broker commits, the client is cut off and asks again by itself."""
    client = transactional(proxy)
    rule = proxy.on(Api.END_TXN, lose_answer(), once())
    write(client, b"lost answer")
    assert committed(proxy, begin) == [b"lost answer"]
    assert rule.seen > rule.done == 1


@pytest.mark.parametrize(
    ("action", "done"), [(swallow_answer(), True), (swallow_request(), False)], ids=["a", "r"]
)
def test_a_swallowed_call_leaves_the_client_waiting(
    proxy: FaultProxy, begin: int, action: object, done: bool
) -> None:
    """The connection lives and nothing comes; whether the broker did it is the two's difference."""
    name = uuid4().hex
    client = transactional(proxy, **{"transactional.id": name})
    proxy.on(Api.END_TXN, action, once())
    with pytest.raises(KafkaException, match="_TIMED_OUT"):
        write(client, b"swallowed", seconds=1)
    transactional(proxy, **{"transactional.id": name})  # fences it and ends what is open
    assert ([b"swallowed"] if done else []) == committed(proxy, begin)


@pytest.mark.parametrize("action", [break_before(), break_after()], ids=["before", "after"])
def test_a_broken_connection_is_met_again(proxy: FaultProxy, begin: int, action: object) -> None:
    """Broken before or after the request passed, the client comes back and ends well."""
    client = transactional(proxy)
    rule = proxy.on(Api.ADD_PARTITIONS, action, times(2))
    write(client, b"broken")
    assert committed(proxy, begin) == [b"broken"]
    assert rule.seen > rule.done == 2


@pytest.mark.parametrize("action", [delay_request(0.7), delay_answer(0.7)], ids=["req", "answer"])
def test_a_delay_takes_its_time(proxy: FaultProxy, action: object) -> None:
    """The second commit takes as long as it was told to; the first and third are let through."""
    client, took = transactional(proxy), []
    rule = proxy.on(Api.END_TXN, action, nth(2))
    for number in range(3):
        began = time.monotonic()
        write(client, b"delayed %d" % number)
        took.append(time.monotonic() - began)
    assert took[1] >= 0.7
    assert rule.seen >= 3
    assert rule.done == 1


def test_an_error_instead_is_of_a_request_not_done(proxy: FaultProxy, begin: int) -> None:
    """Told it must abort, the client can: the broker never saw the commit."""
    client = transactional(proxy)
    proxy.on(Api.END_TXN, error_instead(TRANSACTION_ABORTABLE), once())
    with pytest.raises(KafkaException, match="TRANSACTION_ABORTABLE"):
        write(client, b"error instead")
    client.abort_transaction(10)
    assert committed(proxy, begin) == []


def test_an_error_after_is_of_a_request_that_was_done(proxy: FaultProxy, begin: int) -> None:
    """Told it must abort, the client cannot any more: the broker has committed."""
    client = transactional(proxy)
    proxy.on(Api.END_TXN, error_after(TRANSACTION_ABORTABLE), once())
    with pytest.raises(KafkaException, match="TRANSACTION_ABORTABLE"):
        write(client, b"error after")
    with pytest.raises(KafkaException, match="INVALID_TXN_STATE"):
        client.abort_transaction(10)
    assert committed(proxy, begin) == [b"error after"]


def test_a_stray_commit_tears_the_next_transaction(proxy: FaultProxy, begin: int) -> None:
    """Why a producer whose connection broke is never used again: the client hides it.

    librdkafka repeats the commit on a new connection and reports success; the first copy is only
    late, and commits what stands in the next transaction of the same producer.
    """
    client = transactional(proxy)
    rule = proxy.on(Api.END_TXN, stray(1.0), once())
    write(client, b"first")
    client.begin_transaction()
    client.produce(TOPIC, b"second", partition=0)
    client.flush(10)
    assert committed(proxy, begin, b"first") == [b"first"]
    assert committed(proxy, begin, b"second") == [b"first", b"second"]
    assert rule.seen > rule.done == 1
    with pytest.raises(KafkaException, match="INVALID_TXN_STATE"):
        client.abort_transaction(10)


def test_a_black_hole_swallows_one_client_only(proxy: FaultProxy) -> None:
    """A client cut off without a FIN hears nothing, the next one is served."""
    name = uuid4().hex
    cut = transactional(proxy, **{"client.id": "cut-off", "transactional.id": name})
    proxy.blackhole("cut-off")
    with pytest.raises(KafkaException, match="_TIMED_OUT"):
        write(cut, b"cut off", seconds=1, flush_seconds=1)
    write(transactional(proxy, **{"transactional.id": name}), b"served")


def test_latency_is_that_of_a_round_trip(proxy: FaultProxy) -> None:
    """A request and its answer take the latency together, more or less the jitter."""
    admin = AdminClient({"bootstrap.servers": proxy.bootstrap}, logger=QUIET)
    admin.list_topics(timeout=10)
    proxy.latency_seconds, proxy.jitter_seconds = 0.4, 0.1
    began = time.monotonic()
    admin.list_topics(timeout=10)
    assert 0.3 <= time.monotonic() - began < 5


@pytest.mark.parametrize("api", [Api.JOIN_GROUP, Api.SYNC_GROUP, Api.HEARTBEAT, Api.OFFSET_FETCH])
def test_the_group_can_be_told_errors_too(proxy: FaultProxy, api: Api) -> None:
    """A member told a passing error of the group comes back and is given its partitions."""
    code = NOT_COORDINATOR if api is Api.OFFSET_FETCH else REBALANCE_IN_PROGRESS
    rule = proxy.on(api, error_after(code), once())
    probe = Probe(proxy)
    try:
        probe.look_up()
        rule.await_strikes()
        deadline = time.monotonic() + 20
        while rule.seen < 2:
            probe.poll()
            assert time.monotonic() < deadline, f"{api.name} was not asked again"
    finally:
        probe.close()


def test_a_refused_error_is_named(proxy: FaultProxy) -> None:
    """An error cannot be put where the proxy does not know the answer's form."""
    with pytest.raises(ValueError, match="FETCH"):
        proxy.on(Api.FETCH, error_after(1))
