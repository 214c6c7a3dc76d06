"""Whatever is done to a record of an audit chain is found, and found where it was done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.audit.checkpoint import Checkpoint
from stream.audit.entry import Entry, Fault, Kind, claim_of
from stream.audit.verify import Walk
from stream.domain.chain import GENESIS, ChainHead, chain_headers, head_of, link

PARTITION, RECORDS = 3, 10_000
BEFORE, AFTER = 3, 6
"""Records around the one tampered with that are walked: no finding needs more."""


def chained(values: Sequence[bytes], start: ChainHead = GENESIS, first: int = 0) -> list[Entry]:
    """Records with these values, each the next link; offsets have holes, as transactions leave."""
    head, entries = start, []
    for index, value in enumerate(values, first):
        key = b"a1_%032x" % (index % 997)
        previous, head = head, link(head, PARTITION, key, value)
        claim = claim_of(chain_headers(head, previous))
        entries.append(Entry(index * 2, key, value, claim))
    return entries


def head_at(entries: Sequence[Entry], index: int) -> ChainHead:
    claim = entries[index].claim if index >= 0 else None
    return GENESIS if claim is None else claim.head


def signed(entry: Entry) -> Checkpoint:
    assert entry.claim is not None
    sequence, sha256 = entry.claim.head
    return Checkpoint(PARTITION, sequence, entry.offset, sha256.hex(), "", "")


CHAIN = chained([b'{"decision":%d}' % index * 4 for index in range(RECORDS)])


def flipped(content: bytes, at: int) -> bytes:
    at %= len(content)
    return content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :]


def walk(near: Sequence[Entry], first: int, checkpoints: Sequence[Checkpoint] = ()) -> list[Fault]:
    """The faults of a neighbourhood whose first record is the chain's `first`."""
    before = CHAIN[first - 1].offset if first else -1
    return Walk(PARTITION, checkpoints, head_at(CHAIN, first - 1), before).run(near)


def around(index: int) -> tuple[int, list[Entry]]:
    first = max(0, index - BEFORE)
    return first, CHAIN[first : index + AFTER]


def flip_value(index: int) -> tuple[list[Fault], list[tuple[Kind, int]]]:
    first, near = around(index)
    entry = CHAIN[index]
    near[index - first] = entry._replace(value=flipped(entry.value, index))
    return walk(near, first), [(Kind.ALTERED, entry.offset)]


def flip_key(index: int) -> tuple[list[Fault], list[tuple[Kind, int]]]:
    first, near = around(index)
    entry = CHAIN[index]
    near[index - first] = entry._replace(key=flipped(entry.key or b"", index))
    return walk(near, first), [(Kind.ALTERED, entry.offset)]


def flip_header(index: int) -> tuple[list[Fault], list[tuple[Kind, int]]]:
    first, near = around(index)
    headers = chain_headers(head_at(CHAIN, index), head_at(CHAIN, index - 1))
    name, value = headers[index % 3]
    headers[index % 3] = (name, flipped(value, index // 3))
    near[index - first] = CHAIN[index]._replace(claim=claim_of(headers))
    return walk(near, first), [(Kind.ALTERED, CHAIN[index].offset)]


def restamp(index: int) -> tuple[list[Fault], list[tuple[Kind, int]]]:
    """Altered by one who knows the rule and counts the record's own hash again."""
    first, near = around(index)
    forged = chained([b"forged"], head_at(CHAIN, index - 1), index)[0]
    near[index - first] = forged
    found = walk(near, first, [signed(CHAIN[index])])
    kind = Kind.REWRITTEN if index == RECORDS - 1 else Kind.ALTERED
    return [fault for fault in found if fault.kind is kind], [(kind, forged.offset)]


def delete(index: int) -> tuple[list[Fault], list[tuple[Kind, int]]]:
    first, near = around(index)
    del near[index - first]
    kind = Kind.TRUNCATED if index == RECORDS - 1 else Kind.REMOVED
    before = CHAIN[index - 1].offset if index else -1
    return walk(near, first, [signed(CHAIN[-1])] if index == RECORDS - 1 else ()), [(kind, before)]


def insert_copy(index: int) -> tuple[list[Fault], list[tuple[Kind, int]]]:
    """A true record of elsewhere, played again; beside its own, either is the copy."""
    first, near = around(index)
    at, chosen = CHAIN[index].offset + 1, (index * 31 + 7) % min(RECORDS, index + BEFORE)
    near.insert(
        index - first + 1,
        CHAIN[index if chosen == index + 1 else chosen]._replace(offset=at),
    )
    return walk(near, first), [(Kind.INSERTED, at)]


def insert_forged(index: int) -> tuple[list[Fault], list[tuple[Kind, int]]]:
    """Up to three made-up records that link to the true one before them."""
    first, near = around(index)
    forged = chained([b"forged"] * (1 + index % 3), head_at(CHAIN, index - 1), index)
    forged = [f._replace(offset=CHAIN[index].offset - 1) for f in forged]
    near[index - first : index - first] = forged
    found = walk(near, first, [signed(CHAIN[-1])] if index > RECORDS - AFTER else ())
    return found, [(Kind.INSERTED, forged[0].offset)] * len(forged)


def insert_unlinked(index: int) -> tuple[list[Fault], list[tuple[Kind, int]]]:
    first, near = around(index)
    at = CHAIN[index].offset + 1
    near.insert(index - first + 1, Entry(at, b"k", b"v", None))
    return walk(near, first), [(Kind.INSERTED, at)]


def swap(index: int) -> tuple[list[Fault], list[tuple[Kind, int]]]:
    """With a record up to three further on; of two neighbours, one is said to be out of place."""
    first = max(0, index - BEFORE)
    other = min(index + 1 + index % 3, RECORDS - 1)
    if other == index:
        index -= 1
    near = CHAIN[first : index + AFTER + 3]
    one, two = CHAIN[index], CHAIN[other]
    near[index - first] = two._replace(offset=one.offset)
    near[other - first] = one._replace(offset=two.offset)
    places = [one.offset] if other == index + 1 else [one.offset, two.offset]
    return walk(near, first), [(Kind.MOVED, place) for place in places]


def truncate(index: int) -> tuple[list[Fault], list[tuple[Kind, int]]]:
    first, near = around(index)
    near = near[: index - first]
    before = CHAIN[index - 1].offset if index else -1
    return walk(near, first, [signed(CHAIN[-1])]), [(Kind.TRUNCATED, before)]


TAMPERING = [
    flip_value, flip_key, flip_header, restamp, delete, insert_copy, insert_forged,
    insert_unlinked, swap, truncate,
]  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda each: each.__name__)
def test_every_record_tampered_with_is_found_where_it_is(
    tamper: Callable[[int], tuple[list[Fault], list[tuple[Kind, int]]]],
) -> None:
    """Each of 10,000 records in turn: one finding per deed, of its kind, at its offset."""
    for index in range(RECORDS):
        found, expected = tamper(index)
        assert expected == [(fault.kind, fault.offset) for fault in found], index
        assert all(fault.words and fault.partition == PARTITION for fault in found)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_several_deeds_at_once_are_never_called_sound(data: st.DataObject) -> None:
    """Any mix of deeds on a whole chain is found; a chain left as it was is sound."""
    whole = CHAIN[:200]
    entries = list(whole)
    for _ in range(data.draw(st.integers(0, 4))):
        index = data.draw(st.integers(0, len(entries) - 1))
        match data.draw(st.sampled_from(("flip", "drop", "copy", "swap", "cut"))):
            case "flip":
                value = flipped(entries[index].value, data.draw(st.integers(0, 99)))
                entries[index] = entries[index]._replace(value=value)
            case "drop" if len(entries) > 1:
                del entries[index]
            case "copy":
                entries.insert(index, entries[data.draw(st.integers(0, len(entries) - 1))])
            case "swap":
                other = data.draw(st.integers(0, len(entries) - 1))
                entries[index], entries[other] = entries[other], entries[index]
            case "cut" if index:
                del entries[index:]
            case _:
                pass
    placed = [entry._replace(offset=at) for at, entry in enumerate(entries)]
    contents = [(entry.key, entry.value, entry.claim) for entry in entries]
    kept = contents == [(entry.key, entry.value, entry.claim) for entry in whole]
    last = signed(whole[-1]._replace(offset=len(whole) - 1))
    assert kept == (Walk(PARTITION, [last]).run(placed) == [])


def test_a_tail_cut_off_needs_the_notary() -> None:
    """Without a checkpoint a shorter chain is a sound chain; with one it is not."""
    short = CHAIN[:100]
    assert Walk(PARTITION).run(short) == []
    (fault,) = Walk(PARTITION, [signed(CHAIN[120])]).run(short)
    assert (Kind.TRUNCATED, short[-1].offset, 101) == (fault.kind, fault.offset, fault.sequence)
    assert "sequence 121" in fault.words


def test_a_partition_rewritten_whole_is_found_by_the_notary_alone() -> None:
    """A chain counted again from record 50 on links everywhere, and is not what was signed."""
    forged = CHAIN[:50] + chained([b"forged"] * 50, head_at(CHAIN, 49), 50)
    assert Walk(PARTITION).run(forged) == []
    (fault,) = Walk(PARTITION, [signed(CHAIN[39]), signed(CHAIN[79])]).run(forged)
    assert (Kind.REWRITTEN, CHAIN[79].offset) == (fault.kind, fault.offset)
    assert "from sequence 41 to 80" in fault.words


ZEROS = b"0" * 64


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("x-chain-sequence", b"1")],
        [("x-chain-sequence", b"01"), ("x-chain-previous", ZEROS), ("x-chain-sha256", ZEROS)],
        [("x-chain-sequence", b"1"), ("x-chain-previous", ZEROS), ("x-chain-sha256", b"A" * 64)],
        [*chain_headers(ChainHead(1, bytes(32)), GENESIS), ("x-chain-sequence", b"2")],
        [("x-chain-sequence", None), ("x-chain-previous", b"\xff"), ("x-chain-sha256", b"")],
    ],
)
def test_chain_headers_have_one_form(headers: list[tuple[str, bytes | None]]) -> None:
    """Other spellings of the same number or hash, or a header given twice, are no claim."""
    assert claim_of(headers) is None


def test_the_headers_written_are_the_headers_read() -> None:
    """What the engine writes gives back the head it wrote, to the engine and to the auditor."""
    head = link(ChainHead(7, b"\x07" * 32), PARTITION, None, b"value")
    headers = chain_headers(head, ChainHead(7, b"\x07" * 32))
    assert head == head_of(headers)
    claim = claim_of(headers)
    assert claim is not None
    assert (head, b"\x07" * 32) == (claim.head, claim.previous)
    assert head_of(headers[:2]) is None
