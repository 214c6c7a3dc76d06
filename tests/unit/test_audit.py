"""The notary's eyes, the auditor's own script, and the export both read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stream.audit.checkpoint import (
    Checkpoint,
    CheckpointRefusedError,
    decode_checkpoint,
    encode_checkpoint,
    named_key,
)
from stream.audit.entry import Entry, claim_of
from stream.audit.notary import ChainBrokenError, Watched
from stream.cli import app
from stream.codec.signatures import key_id, new_private_key, public_pem
from stream.domain.chain import GENESIS, ChainHead, chain_headers, link
from stream.domain.topics import AUDIT, CHECKPOINTS
from stream.ops.audit_read import FileSource, Kept, line_of
from stream.ops.tail_rows import Stream, row_of

GUIDE = Path(__file__).parents[2] / "docs" / "audit.md"
PRIVATE = new_private_key()
TRUSTED = {key_id(PRIVATE.public_key()): PRIVATE.public_key()}
AT = "2026-11-24T08:00:00Z"


def chain(partition: int, count: int) -> list[Kept]:
    """Audit records of one partition, the last of them signed in a checkpoint before them."""
    head, records = GENESIS, []
    for index in range(count):
        key, value = f"a1_{index:032x}".encode(), f'{{"decision":"决{index}"}}'.encode()
        previous, head = head, link(head, partition, key, value)
        headers = chain_headers(head, previous)
        records.append(Kept(AUDIT, partition, index * 2, key, value, headers))
    checkpoint = Checkpoint(
        partition, head.sequence, records[-1].offset, head.sha256.hex(), AT, named_key(PRIVATE)
    )
    key, value, headers = encode_checkpoint(checkpoint, PRIVATE)
    return [Kept(CHECKPOINTS, partition, 0, key, value, headers), *records]


SOUND = chain(0, 9) + chain(4, 5)


def by_script(tmp_path: Path, records: list[Kept]) -> tuple[int, str]:
    """Exit code and words of the script as the guide prints it."""
    found = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    assert len(found[1].splitlines()) <= 26
    script, export, public = (tmp_path / name for name in ("check.py", "audit.jsonl", "key.pub"))
    script.write_text(found[1], encoding="utf-8")
    export.write_text("".join(line_of(each) + "\n" for each in records), encoding="utf-8")
    public.write_bytes(public_pem(PRIVATE.public_key()))
    arguments = [sys.executable, str(script), str(export), str(public)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=tmp_path)
    return done.returncode, done.stdout + done.stderr


def by_verb(tmp_path: Path) -> tuple[int, str]:
    """The same file, asked of the command."""
    files = ("--file", str(tmp_path / "audit.jsonl"), "--public-key", str(tmp_path / "key.pub"))
    result = CliRunner().invoke(app, ["audit", "verify", *files])
    return result.exit_code, result.output


def test_the_guides_script_and_the_command_agree(tmp_path: Path) -> None:
    """Sound is sound to both; altered, cut off and forged are found by both."""
    code, words = by_script(tmp_path, SOUND)
    assert (code, words) == (0, "")
    code, words = by_verb(tmp_path)
    assert code == 0, words
    assert "sound" in words
    altered = list(SOUND)
    altered[4] = altered[4]._replace(value=b"{}")
    code, words = by_script(tmp_path, altered)
    assert (code, words.strip()) == (1, "broken at partition 0, offset 6, sequence 4")
    code, words = by_verb(tmp_path)
    assert code == 1
    assert "altered: partition 0, offset 6, sequence 4" in words
    code, words = by_script(tmp_path, SOUND[:-1])
    assert code == 1
    assert "not what was signed" in words
    code, words = by_verb(tmp_path)
    assert code == 1
    assert "truncated: partition 4, offset 6, sequence 5" in words
    forged = [
        SOUND[0]._replace(value=SOUND[0].value.replace(b'"sequence":9', b'"sequence":8')),
        *SOUND[1:],
    ]
    code, words = by_script(tmp_path, forged)
    assert code == 1
    assert "InvalidSignature" in words
    code, words = by_verb(tmp_path)
    assert code == 1
    assert "its signature does not hold" in words


def test_an_export_keeps_every_byte(tmp_path: Path) -> None:
    """Text as text, other bytes as base64, no key as none."""
    odd = [
        Kept(AUDIT, 1, 5, b"\xff\x00", b"\xfe", [("ce_type", "x")]),
        Kept(AUDIT, 1, 7, None, "语\n".encode(), []),
    ]
    file = tmp_path / "audit.jsonl"
    file.write_text("".join(line_of(each) + "\n" for each in odd), encoding="utf-8")
    source = FileSource(file)
    assert source.partitions() == [1]
    assert odd == list(source.records(AUDIT, 1))
    assert [odd[1]] == list(source.records(AUDIT, 1, 6))
    assert source.bounds(AUDIT, 1) == (5, 8)


def watched(entries: list[Entry], last: Checkpoint | None = None) -> Watched:
    notary = Watched(4, last, 0.0)
    for entry in entries:
        notary.take(entry)
    return notary


ENTRIES = [each.entry for each in chain(4, 6)[1:]]


def test_a_notary_signs_by_count_and_by_time() -> None:
    """Due after so many records, or after so long when there is news, and never for nothing."""
    notary = watched(ENTRIES)
    assert notary.due(0.0, 6, 60)
    assert not notary.due(59.0, 7, 60)
    assert notary.due(60.0, 7, 60)
    checkpoint = notary.checkpoint(AT, "k")
    assert (checkpoint.sequence, checkpoint.offset) == (6, 10)
    notary.signed(checkpoint, 60.0)
    assert not notary.due(1e9, 1, 60)
    assert watched(ENTRIES[5:], checkpoint).head == notary.head


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (ENTRIES[3]._replace(value=b"{}"), "does not follow"),
        (ENTRIES[4], "sequence 5 stands there"),
        (ENTRIES[3]._replace(claim=None), "without a place"),
    ],
)
def test_a_notary_stops_at_what_is_no_link(wrong: Entry, words: str) -> None:
    """Altered, out of order or foreign: where and what, in one line with the next step."""
    with pytest.raises(ChainBrokenError, match=words) as raised:
        watched([*ENTRIES[:3], wrong])
    assert (raised.value.partition, raised.value.sequence) == (4, 4)
    assert "audit verify --partition 4" in str(raised.value)


def test_a_notary_goes_on_only_from_what_it_signed() -> None:
    """The signed record gone, or another in its place, is a broken chain."""
    last = watched(ENTRIES).checkpoint(AT, "k")
    for low, high in ((0, 10), (11, 20), (0, 0)):
        with pytest.raises(ChainBrokenError, match="cut off"):
            Watched(4, last, 0.0).bounds(low, high)
    Watched(4, last, 0.0).bounds(0, 11)
    forged = link(ChainHead(5, b"\x01" * 32), 4, b"k", b"v")
    headers = chain_headers(forged, ChainHead(5, b"\x01" * 32))
    for entry in (Entry(10, b"k", b"v", claim_of(headers)), ENTRIES[5]._replace(offset=12)):
        with pytest.raises(ChainBrokenError, match="last checkpoint signed"):
            watched([entry], last)


def test_a_checkpoint_counts_under_a_trusted_signature_only() -> None:
    """Another key, another partition's key, a changed value or none at all is refused."""
    checkpoint = Checkpoint(4, 1, 0, "00" * 32, AT, named_key(PRIVATE))
    key, value, headers = encode_checkpoint(checkpoint, PRIVATE)
    assert checkpoint == decode_checkpoint((key, value), headers, TRUSTED)
    refused = [
        ((key, value), headers, {}),
        ((b"5", value), headers, TRUSTED),
        ((key, value.replace(b'"offset":0', b'"offset":1')), headers, TRUSTED),
        ((key, value), headers[:-1], TRUSTED),
        ((key, b"{}"), headers, TRUSTED),
    ]
    for content, given, trusted in refused:
        with pytest.raises(CheckpointRefusedError):
            decode_checkpoint(content, given, trusted)


def test_tail_shows_a_dead_letters_audit_as_what_it_is() -> None:
    """Reason, origin and field; told from a decision by its type."""
    value = {"reason": "invalid", "field": "term_months", "source_partition": 3,
             "source_offset": 41, "size_bytes": 812}  # fmt: skip
    headers = {"ce_type": "loan.dead_letter.audit.v1", "ce_time": AT}
    row = row_of(Stream.AUDIT, json.loads(json.dumps(value)), headers)
    assert (row.what, row.who, row.more) == ("invalid", "3/41", "term_months, 812 bytes")
