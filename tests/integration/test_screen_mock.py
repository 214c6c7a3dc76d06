"""Screening on the mock broker: only what changed goes out, a change within seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, Producer

from stream.broker.mock import MockBroker
from stream.codec.keys import PARTITIONER
from stream.config import Settings, load_settings
from stream.domain.profile import CustomerProfile
from stream.domain.topics import DEAD_LETTERS, PROFILES, WHITELIST
from stream.domain.whitelist import WhitelistEntry
from stream.edge import screen_source
from stream.ops.screen import ScreenWorker
from stream.ops.screen_bulk import publish_parquet

PEOPLE = 60
SECONDS_MAX = 60.0


@pytest.fixture(autouse=True)
def topic_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mock broker knows no topic ids."""
    monkeypatch.setattr(screen_source, "topic_id_of", lambda _settings, _topic: "id")


def _row(number: int, **changes: object) -> dict[str, object]:
    return {
        "applicant_token": f"a1_{number:032x}", "segment": "consumer", "screening_consent": True,
        "as_of": time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime()),
        "annual_income_fen": 30_000_000, "employment_years": 10, "delinquencies_24m": 0,
        "accounts_past_due": 0, "inquiries_12m": 0, "utilisation_pct": 10.0,
        "open_installment_count": 1, **changes,
    }  # fmt: skip


def _topics(bootstrap: str) -> None:
    client = Producer({"bootstrap.servers": bootstrap})
    for topic in (PROFILES, WHITELIST, DEAD_LETTERS):
        client.list_topics(topic, timeout=10)


def _send(bootstrap: str, *values: bytes, key: bytes) -> None:
    client = Producer({"bootstrap.servers": bootstrap, "partitioner": PARTITIONER})
    for value in values:
        client.produce(PROFILES, value, key)
    assert client.flush(30) == 0


def _read(bootstrap: str, topic: str, until: Callable[[list[tuple]], bool]) -> list[tuple]:
    """(key, value, headers) from the topic's beginning until enough is there, or time is up."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "look",
                       "auto.offset.reset": "earliest", "enable.auto.commit": False})  # fmt: skip
    reader.subscribe([topic])
    found: list[tuple] = []
    deadline = time.monotonic() + SECONDS_MAX
    while not until(found) and time.monotonic() < deadline:
        message = reader.poll(0.2)
        if message is not None and message.error() is None:
            found.append((message.key(), message.value(), dict(message.headers() or [])))
    reader.close()
    return found


def _once(settings: Settings) -> dict[str, int]:
    with closing(ScreenWorker(settings)) as worker:
        worker.run(threading.Event(), lambda _done, _total: None, once=True)
        return dict(worker.counts)


def test_parquet_to_offers_and_what_changes_after(tmp_path: Path) -> None:
    """From a file: one entry each. Again: none. Another policy: all read, what differs sent.

    A changed profile takes its person off, with the reason; a bad one is a dead letter that holds
    nothing of it.
    """
    file = tmp_path / "people.parquet"
    pq.write_table(pa.Table.from_pylist([_row(n) for n in range(PEOPLE)]), file)
    with MockBroker("test") as broker:
        settings = load_settings(bootstrap=broker.bootstrap, state_dir=tmp_path / "one")
        _topics(broker.bootstrap)
        assert publish_parquet(settings, file, lambda _done, _total: None) == PEOPLE
        assert _once(settings)["upserted"] == PEOPLE
        # The mock forgets offsets that a transaction committed, so all are read once more.
        assert _once(settings).get("upserted", 0) == 0

        text = settings.screening_file.read_text(encoding="utf-8")
        cheaper = tmp_path / "screening.toml"
        cheaper.write_text(text.replace("list_version = 1", "list_version = 2"), encoding="utf-8")
        # Another host, without a book: what stands is read from the topic, nothing is sent again.
        moved = load_settings(
            bootstrap=broker.bootstrap, state_dir=tmp_path / "two", screening_file=cheaper
        )
        again = _once(moved)
        assert (
            again["records"], again["unchanged"], again.get("upserted", 0),
        ) == (PEOPLE, PEOPLE, 0)  # fmt: skip

        stop = threading.Event()
        with closing(ScreenWorker(moved)) as worker:
            thread = threading.Thread(
                target=worker.run, args=(stop, lambda *_: None), kwargs={"once": False}
            )
            thread.start()
            worse = msgspec.json.encode(_row(7, accounts_past_due=1))
            key = msgspec.json.decode(worse, type=CustomerProfile).applicant_token.encode()
            _send(broker.bootstrap, b'{"name":"Li"}', worse, key=key)
            entries = _read(broker.bootstrap, WHITELIST, lambda seen: len(seen) > PEOPLE)
            letters = _read(broker.bootstrap, DEAD_LETTERS, lambda seen: len(seen) > 0)
            stop.set()
            thread.join(SECONDS_MAX)
    offers = [msgspec.json.decode(v, type=WhitelistEntry) for _, v, _ in entries if v is not None]
    assert {row["applicant_token"] for row in map(_row, range(PEOPLE))} == {
        offer.applicant_token for offer in offers
    }
    off = [(k, headers["reason"]) for k, value, headers in entries if value is None]
    assert [(key, b"B_PAST_DUE_NOW")] == off
    ((_, kept, letter),) = letters
    assert (kept, letter["x-error-reason"]) == (b"", b"invalid")
    assert b"Li" not in b"".join(value for value in letter.values() if value)


def test_who_is_no_member_any_more_commits_nothing(tmp_path: Path) -> None:
    """A process the group has let go sends nothing; it starts again at what was committed."""
    file = tmp_path / "people.parquet"
    pq.write_table(pa.Table.from_pylist([_row(n) for n in range(5)]), file)
    with MockBroker("test") as broker:
        settings = load_settings(bootstrap=broker.bootstrap, state_dir=tmp_path / "one")
        _topics(broker.bootstrap)
        publish_parquet(settings, file, lambda _done, _total: None)
        with closing(ScreenWorker(settings)) as worker:
            is_member, gone = worker._source.identity, iter([None])
            worker._source.identity = lambda: next(gone, is_member())  # type: ignore[method-assign]
            worker.run(threading.Event(), lambda _done, _total: None, once=True)
        entries = _read(broker.bootstrap, WHITELIST, lambda seen: len(seen) >= 5)
    assert (worker.counts["transactions_failed"], worker.counts["upserted"]) == (1, 5)
    assert sorted(row["applicant_token"] for row in map(_row, range(5))) == sorted(
        key.decode() for key, _, _ in entries
    )
