"""The keeper takes in what it is given, and nothing it is given can stop it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import structlog
from builders import bureau, entry, token
from confluent_kafka import KafkaError, KafkaException
from fake_consumer import FakeConsumer, Message
from policy_cases import TOKEN
from prometheus_client import CollectorRegistry

from stream.config import load_settings
from stream.domain.topics import BUREAU, WHITELIST
from stream.edge import controls as controls_module
from stream.edge import keeper as module
from stream.edge.controls import Controls
from stream.edge.keeper import Keeper
from stream.edge.key_pairs import OPERATOR
from stream.edge.lmdb_store import StoreReader
from stream.errors import BrokerAwayError, BrokerError
from stream.obs.control_metrics import ControlMetrics
from stream.obs.metrics import EngineMetrics

KEY = TOKEN.encode()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeConsumer:
    made = FakeConsumer()
    monkeypatch.setattr(module, "consumer", lambda *_args, **_extra: made)
    return made


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def keeper(fake: FakeConsumer, tmp_path: Path, registry: CollectorRegistry) -> Iterator[Keeper]:
    kept = _keeper(tmp_path, registry)
    yield kept
    kept._store.close()


def _keeper(folder: Path, registry: CollectorRegistry) -> Keeper:
    log = structlog.get_logger()
    return Keeper(load_settings(state_dir=folder), EngineMetrics(registry), log)


def _updates(registry: CollectorRegistry, topic: str, result: str) -> float | None:
    labels = {"topic": topic, "result": result}
    return registry.get_sample_value("tenminute_store_updates_total", labels)


_DEEP = msgspec.json.encode(entry())[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
MALFORMED: dict[str, tuple[bytes | None, bytes]] = {
    "no JSON": (KEY, b"{"),
    "empty": (KEY, b""),
    "not UTF-8": (KEY, b"\xff\xfe"),
    "another record": (KEY, msgspec.json.encode(bureau())),
    "a limit below zero": (KEY, msgspec.json.encode(entry()).replace(b"8000000", b"-1")),
    "nested 100,000 deep": (KEY, _DEEP),
    "key of another": (token(2).encode(), msgspec.json.encode(entry())),
    "no key": (None, msgspec.json.encode(entry())),
    "empty key": (b"", msgspec.json.encode(entry())),
    "a key of 2,000 bytes": (b"k" * 2_000, msgspec.json.encode(entry())),
}


@pytest.mark.parametrize(("key", "value"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_record_leaves_no_offer_standing(
    keeper: Keeper,
    fake: FakeConsumer,
    registry: CollectorRegistry,
    tmp_path: Path,
    key: bytes | None,
    value: bytes,
) -> None:
    """It is counted and passed; the offer under its key is gone, any other stays."""
    fake.put(Message(WHITELIST, KEY, msgspec.json.encode(entry())))
    keeper.step()
    fake.put(Message(WHITELIST, key, value))
    keeper.step()
    assert _updates(registry, WHITELIST, "malformed") == 1
    assert keeper._store.offsets()[WHITELIST, 0] == 2
    keeper._store.close()
    with StoreReader(tmp_path / "store") as reader, reader.reading() as views:
        assert (key != KEY) == (views.whitelist(TOKEN) is not None)


@pytest.mark.parametrize("key", [None, b"", b"k" * 2_000, KEY])
def test_a_tombstone_of_any_key_is_taken(
    keeper: Keeper, fake: FakeConsumer, key: bytes | None
) -> None:
    """A deletion of what was never there moves the offset and stops nothing."""
    fake.put(Message(BUREAU, KEY, msgspec.json.encode(bureau())), Message(BUREAU, key, None))
    keeper.step()
    assert keeper._store.offsets()[BUREAU, 0] == 2
    assert keeper._store.counts()[BUREAU] == (0 if key == KEY else 1)


def test_the_store_is_fresh_only_at_the_end_of_its_topics(
    keeper: Keeper, fake: FakeConsumer, registry: CollectorRegistry
) -> None:
    """Behind the end nothing is called fresh, however long the keeper has been running."""
    fake.ends[WHITELIST] = 1
    keeper.step()
    assert registry.get_sample_value("tenminute_store_fresh_timestamp_seconds") == 0
    fake.waiting = [Message(WHITELIST, KEY, msgspec.json.encode(entry()))]
    keeper.step()
    keeper._fresh_checked_at = 0.0
    before = time.time()
    keeper.step()
    fresh_at = registry.get_sample_value("tenminute_store_fresh_timestamp_seconds")
    assert fresh_at == pytest.approx(before, abs=5.0)


@pytest.mark.parametrize("change", ["cluster", "ahead"])
def test_a_foreign_store_is_rebuilt(fake: FakeConsumer, tmp_path: Path, change: str) -> None:
    """A store of another cluster, or ahead of its topics, is dropped and read again from 0."""
    fake.put(Message(WHITELIST, KEY, msgspec.json.encode(entry())))
    first = _keeper(tmp_path, CollectorRegistry())
    first.step()
    first._store.close()
    if change == "cluster":
        fake.cluster = "cluster-b"
    else:
        fake.ends[WHITELIST] = 0
    second = _keeper(tmp_path, CollectorRegistry())
    assert second._store.counts() == {WHITELIST: 0, BUREAU: 0}
    assert second._next == {(WHITELIST, 0): 0, (BUREAU, 0): 0}
    second._store.close()


def test_a_missing_topic_says_what_to_do(fake: FakeConsumer, tmp_path: Path) -> None:
    """Without its topics the keeper stops at once and names the command that makes them."""
    fake.topics = [BUREAU]
    with pytest.raises(BrokerError, match=r"whitelist\.entries.*topics apply"):
        _keeper(tmp_path, CollectorRegistry())


def test_a_broker_that_is_away_is_told_apart_and_the_client_given_back(
    fake: FakeConsumer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can wait asks again; a keeper that died of it would be given up in an outage."""

    def away(**_: object) -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    monkeypatch.setattr(fake, "list_topics", away)
    fake.assigned = "something"
    with pytest.raises(BrokerAwayError):
        _keeper(tmp_path, CollectorRegistry())
    assert fake.assigned is None


def test_controls_that_meet_no_broker_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt closes what the one before had opened, and says that waiting may mend it."""
    _, public_file, _ = OPERATOR.make(tmp_path)
    settings = load_settings(state_dir=tmp_path, control_key_files=[public_file])
    made: list[FakeConsumer] = []

    def consumer(*_: object, **__: object) -> FakeConsumer:
        made.append(FakeConsumer())
        made[-1].assigned = "something"
        return made[-1]

    def away(*_: object, **__: object) -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    monkeypatch.setattr(FakeConsumer, "get_watermark_offsets", away)
    monkeypatch.setattr(controls_module, "consumer", consumer)
    metrics = ControlMetrics(CollectorRegistry())
    controls = Controls(settings, "host-0", {}, metrics, structlog.get_logger())
    for _ in range(2):
        with pytest.raises(BrokerAwayError):
            controls.catch_up()
    assert [fake.assigned for fake in made] == [None, "something"]
    controls.close()
