"""Tokens hide the id they come from, and the partition is the one Kafka's clients compute."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from builders import token
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner import murmur2 as kafka_murmur2

from stream.codec.keys import applicant_token, decision_id, murmur2, partition_of, partitions_of
from stream.domain.application import Token

KEY = bytes(range(32))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # org.apache.kafka.common.utils.UtilsTest.testMurmur2, as unsigned numbers.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_gives_the_java_clients_answers(data: bytes, expected: int) -> None:
    """The known answers of Kafka's own test."""
    assert expected & 0xFFFFFFFF == murmur2(data)


@given(st.binary(max_size=80), st.integers(1, 100))
def test_murmur2_agrees_with_another_client(data: bytes, partitions: int) -> None:
    """kafka-python sends every key to the partition this engine expects it in."""
    assert kafka_murmur2(data) & 0xFFFFFFFF == murmur2(data)
    assert (kafka_murmur2(data) & 0x7FFFFFFF) % partitions == partition_of(data, partitions)


@given(st.from_regex(r"[0-9]{17}[0-9X]", fullmatch=True), st.integers(1, 99))
def test_a_token_never_contains_the_id(national_id: str, version: int) -> None:
    """It has the token's shape, and neither the id nor its bare hash can be seen in it."""
    made = applicant_token(national_id, KEY, version)
    assert made == msgspec.convert(made, Token)
    assert made.startswith(f"a{version}_")
    assert national_id not in made
    assert hashlib.sha256(national_id.encode()).hexdigest()[:32] not in made


def test_a_token_depends_on_key_and_id() -> None:
    """The same id under the same key is the same person; any other key or id is another."""
    made = applicant_token("110101199003074258", KEY)
    assert made == applicant_token("110101199003074258", KEY)
    assert made != applicant_token("110101199003074258", KEY[::-1])
    assert made != applicant_token("110101199003074259", KEY)


def test_tokens_spread_over_the_partitions() -> None:
    """A thousand people over six partitions: no partition has twice its share."""
    counts = [0] * 6
    for number in range(1_000):
        counts[partition_of(token(number).encode(), 6)] += 1
    assert max(counts) < 2 * 1_000 / 6


def test_a_decision_id_follows_from_person_application_and_stage() -> None:
    """Deciding again gives the same id; another person, application or stage another one."""
    first = decision_id(token(1), "app-00000001")
    assert first == decision_id(token(1), "app-00000001", stage=1)
    others = {
        decision_id(token(1), "app-00000002"),
        decision_id(token(2), "app-00000001"),
        decision_id(token(1), "app-00000001", stage=2),
    }
    assert len(others - {first}) == 3


@given(st.lists(st.binary(max_size=40)), st.integers(1, 50))
def test_many_keys_at_once_hash_as_one_by_one(keys: list[bytes], partitions: int) -> None:
    """The columns agree with the plain way for keys of every length, mixed."""
    many = keys * 9
    assert [partition_of(key, partitions) for key in many] == partitions_of(many, partitions)
