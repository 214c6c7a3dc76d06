"""A record on another partition than its key's is sent on unread, and named by its channel."""

from __future__ import annotations

import pytest
from builders import raw, record, token
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.batch import Batch
from stream.codec.keys import partition_of, partitions_of
from stream.domain.topics import EVENTS
from stream.limits import DEAD_LETTER_BYTES_MAX
from stream.ports import Record
from stream.strays import FORWARDED, channel_of, forward_strays

PARTITIONS = 6


def _astray(found: Record) -> Record:
    home = partition_of(found.key or b"", PARTITIONS)
    return found._replace(partition=(home + 1) % PARTITIONS, offset=7)


def test_a_stray_is_sent_on_as_it_came() -> None:
    """Key, value, topic, headers and timestamp stay; one header more says where it lay."""
    headers = [("schema_version", b"1"), ("empty", None), ("schema_version", b"2")]
    stray = _astray(record(applicant_token=token(3)))._replace(headers=headers, topic=EVENTS)
    batch = Batch([stray])
    assert forward_strays([stray], PARTITIONS, batch) == []
    [output] = batch.outputs
    assert output.partition == partition_of(stray.key or b"", PARTITIONS)
    assert (output.topic, output.key, output.value) == (EVENTS, stray.key, stray.value)
    assert output.timestamp_ms == stray.timestamp_ms
    origin = f"{stray.partition}/7".encode()
    assert [*headers, (FORWARDED, origin)] == output.headers
    assert batch.strays == [stray]


def test_a_stray_without_a_timestamp_is_stamped_when_it_is_sent() -> None:
    """What the broker gives no timestamp for carries none on."""
    stray = _astray(record())._replace(timestamp_ms=-1)
    batch = Batch([stray])
    forward_strays([stray], PARTITIONS, batch)
    assert batch.outputs[0].timestamp_ms == 0


def test_bytes_nobody_can_read_are_sent_on_too() -> None:
    """Only the key is looked at: what it is worth is found out at home, in its person's order."""
    strays = [_astray(raw(value)) for value in (None, b"", b"\xff{")]
    batch = Batch(strays)
    assert forward_strays(strays, PARTITIONS, batch) == []
    assert [output.value for output in batch.outputs] == [None, b"", b"\xff{"]


def test_a_record_without_a_key_stays_where_it_is() -> None:
    """It belongs nowhere; the decoder names the fault."""
    keyless = raw(b"{}", key=None, partition=4)
    batch = Batch([keyless])
    assert forward_strays([keyless], PARTITIONS, batch) == [keyless]
    assert (batch.outputs, batch.strays) == ([], [])


@pytest.mark.parametrize("part", ["value", "headers"])
def test_a_stray_too_large_to_be_sent_on_is_a_dead_letter_where_it_lies(part: str) -> None:
    """At the bound it goes home; one byte more could stop a transaction for ever."""
    room = DEAD_LETTER_BYTES_MAX - len(token(1))
    for size, astray, buried in ((room, 1, 0), (room + 1, 0, 1)):
        large = b"x" * size
        value, headers = (large, []) if part == "value" else (b"", [("", large)])
        stray = _astray(raw(value, key=token(1).encode(), headers=headers))
        batch = Batch([stray])
        assert forward_strays([stray], PARTITIONS, batch) == []
        assert (len(batch.outputs), len(batch.buried)) == (astray, buried)


def test_sent_on_once_it_is_at_home() -> None:
    """The forwarded record, read where it was sent, stays there: it never goes round."""
    stray = _astray(record())
    batch = Batch([stray])
    forward_strays([stray], PARTITIONS, batch)
    output = batch.outputs[0]
    home = stray._replace(partition=output.partition, headers=output.headers)
    again = Batch([home])
    assert forward_strays([home], PARTITIONS, again) == [home]
    assert again.outputs == []


def test_strays_are_counted_by_the_channel_they_name() -> None:
    """A known channel by name; what names none, or another, is `unknown`."""
    assert channel_of(record(channel="h5")) == "h5"
    assert channel_of(raw(b'{ "channel" :\t"wechat_bank"')) == "wechat_bank"
    for value in (None, b"", b'{"channel":"somebody"}', b'{"channel":7}', b"\xff"):
        assert channel_of(raw(value)) == "unknown"


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=60), st.integers(1, 5_000))
def test_many_keys_at_once_go_where_each_alone_goes(keys: list[bytes], partitions: int) -> None:
    """The arrays and the plain way agree, whatever the lengths are mixed."""
    assert [partition_of(key, partitions) for key in keys] == partitions_of(keys, partitions)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=40))
def test_every_record_stays_or_goes_in_its_order(picked: list[tuple[int, bool]]) -> None:
    """None is lost or doubled, and neither those that stay nor those that go change order."""
    found = []
    for offset, (number, keyed) in enumerate(picked):
        key = token(number).encode() if keyed else None
        found.append(raw(b"%d" % offset, key=key, partition=offset % PARTITIONS, offset=offset))
    batch = Batch(found)
    here = forward_strays(found, PARTITIONS, batch)
    stays = [r for r in found if r.key is None or partition_of(r.key, PARTITIONS) == r.partition]
    goes = [r for r in found if r not in stays]
    assert stays == here
    assert goes == batch.strays
    assert [r.value for r in goes] == [output.value for output in batch.outputs]
