"""What holds of the keeper for any record on the whitelist and bureau topics."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import structlog
from builders import bureau, entry, token
from fake_consumer import Message
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import TOKEN
from prometheus_client import CollectorRegistry

from stream.domain.topics import BUREAU, WHITELIST
from stream.edge.keeper import Keeper
from stream.edge.lmdb_store import Change
from stream.obs.metrics import EngineMetrics

KEY = TOKEN.encode()
REGISTRY = CollectorRegistry()
KEEPER = Keeper.__new__(Keeper)
KEEPER._log, KEEPER._metrics = structlog.get_logger(), EngineMetrics(REGISTRY)
_DOCUMENTS: dict[str, dict[str, Any]] = {
    WHITELIST: msgspec.to_builtins(entry()),
    BUREAU: msgspec.to_builtins(bureau()),
}
_TOPICS = st.sampled_from(sorted(_DOCUMENTS))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


def _taken(topic: str, key: bytes | None, value: bytes | None) -> tuple[list[Change], float]:
    """What the keeper would write, and how many records it has counted as malformed."""
    labels = {"topic": topic, "result": "malformed"}

    def malformed() -> float:
        return REGISTRY.get_sample_value("tenminute_store_updates_total", labels) or 0

    before = malformed()
    changes: list[Change] = []
    moved: dict[tuple[str, int], int] = {}
    KEEPER._take(Message(topic, key, value, at=41), changes, moved)
    assert moved == {(topic, 0): 42}
    return changes, malformed() - before


def _assert_sound_or_gone(topic: str, key: bytes | None, value: bytes | None) -> None:
    """Put under its own key, taken away, or counted as malformed and taken away."""
    changes, malformed = _taken(topic, key, value)
    put = [record for _, _, record in changes if record is not None]
    assert all(record.applicant_token.encode() == key for record in put)
    assert malformed == (0 if put or value is None else 1)
    gone = [changed for _, changed, record in changes if record is None]
    assert gone == ([] if put or not key else [key])


@given(
    _TOPICS,
    st.none() | st.binary(max_size=600) | st.just(KEY),
    st.none() | st.binary(max_size=400),
)
def test_any_bytes_are_put_taken_away_or_malformed(
    topic: str, key: bytes | None, value: bytes | None
) -> None:
    """No key and no value stop the keeper, and the offset moves on."""
    _assert_sound_or_gone(topic, key, value)


@given(_TOPICS, st.data(), st.sampled_from([KEY, token(2).encode(), None]))
def test_changed_fields_are_put_or_malformed(
    topic: str, data: st.DataObject, key: bytes | None
) -> None:
    """A sound record with any JSON in some of its fields is sound still, or malformed."""
    document = dict(_DOCUMENTS[topic])
    for name in data.draw(st.lists(st.sampled_from(sorted(document)), max_size=3, unique=True)):
        document[name] = data.draw(_JSON)
    _assert_sound_or_gone(topic, key, json.dumps(document).encode("utf-8", "replace"))


@given(_TOPICS, st.data())
def test_a_record_cut_anywhere_is_malformed(topic: str, data: st.DataObject) -> None:
    """No part of a record passes for one."""
    whole = msgspec.json.encode(_DOCUMENTS[topic])
    end = data.draw(st.integers(0, len(whole) - 1))
    changes, malformed = _taken(topic, KEY, whole[:end])
    assert ([(topic, KEY, None)], 1) == (changes, malformed)
