"""The notary's eyes, the auditor's own script, and the export both read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from trial_cases import tried
from typer.testing import CliRunner
from watch_records import approval

from stream.audit.checkpoint import (
    Checkpoint,
    CheckpointRefusedError,
    decode_checkpoint,
    encode_checkpoint,
    named_key,
)
from stream.audit.entry import Entry, claim_of, mislabelled
from stream.audit.notary import ChainBrokenError, Watched
from stream.audit.replay import Replayed
from stream.audit.verdict import Verdict
from stream.cli import app
from stream.codec.decision_v1 import AUDITED, decision_audit, encode_audit, encode_dead_letter_audit
from stream.codec.headers import cloud_event
from stream.codec.signatures import key_id, new_private_key, public_pem
from stream.config import load_settings
from stream.domain.chain import GENESIS, ChainHead, chain_headers, link
from stream.domain.topics import APPLICATIONS, AUDIT, CHECKPOINTS
from stream.errors import ConfigError, PoisonError
from stream.ops.audit_manifest import Place, manifest_line
from stream.ops.audit_read import FileSource, Kept, line_of
from stream.ops.model_trial import book_for, hear
from stream.ops.replay import Tally, _tell
from stream.ops.tail_rows import Stream, row_of
from stream.ports import Record

GUIDE = Path(__file__).parents[2] / "docs" / "audit.md"
PRIVATE = new_private_key()
TRUSTED = {key_id(PRIVATE.public_key()): PRIVATE.public_key()}
AT = "2026-11-24T08:00:00Z"


def chain(partition: int, count: int) -> list[Kept]:
    """Audit records of one partition, the last of them signed in a checkpoint before them."""
    head, records = GENESIS, []
    for index in range(count):
        key, name = f"a1_{index:032x}".encode(), f"decision-{index:04d}"
        said = {"decision_id": name, "decided_at": AT, "segment": f"决{index}"}
        value = json.dumps({"decision": said}, ensure_ascii=False).encode()
        previous, head = head, link(head, partition, key, value)
        headers = cloud_event(AUDITED, "/engine", name, AT) + chain_headers(head, previous)
        records.append(Kept(AUDIT, partition, index * 2, key, value, headers))
    checkpoint = Checkpoint(
        partition, head.sequence, records[-1].offset, head.sha256.hex(), AT, named_key(PRIVATE)
    )
    key, value, headers = encode_checkpoint(checkpoint, PRIVATE)
    return [Kept(CHECKPOINTS, partition, 0, key, value, headers), *records]


SOUND = chain(0, 9) + chain(1, 5)


def exported(file: Path, records: list[Kept]) -> Path:
    """An export of these records, with the manifest of them as they were; partition 2 is empty."""
    places: dict[tuple[str, int], Place] = {}
    for topic, number in ((t, n) for n in (0, 1, 2) for t in (CHECKPOINTS, AUDIT)):
        offsets = [r.offset for r in SOUND if (r.topic, r.partition) == (topic, number)]
        places[topic, number] = Place(topic, number, len(offsets), max(offsets, default=-1) + 1)
    lines = [manifest_line(3, [*places.values()]), *map(line_of, records)]
    file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return file


def by_script(tmp_path: Path, records: list[Kept]) -> tuple[int, str]:
    """Exit code and words of the script as the guide prints it."""
    found = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    assert len(found[1].splitlines()) <= 45
    script, export, public = (tmp_path / name for name in ("check.py", "audit.jsonl", "key.pub"))
    script.write_text(found[1], encoding="utf-8")
    exported(export, records)
    public.write_bytes(public_pem(PRIVATE.public_key()))
    arguments = [sys.executable, str(script), str(export), str(public)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=tmp_path)
    return done.returncode, done.stdout + done.stderr


def by_verb(tmp_path: Path, *more: str, keyed: bool = True) -> tuple[int, str]:
    """The same file, asked of the command."""
    key = ("--public-key", str(tmp_path / "key.pub")) if keyed else ()
    files = ("--file", str(tmp_path / "audit.jsonl"), *key, *more)
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
    assert (code, "by its manifest" in words) == (1, True), words
    code, words = by_verb(tmp_path)
    assert code == 1
    assert "truncated: partition 1, offset 6, sequence 5" in words
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


def relabelled(record: Kept, name: str, *contents: bytes) -> Kept:
    """The record with its header of that name replaced by these."""
    others = [header for header in record.headers if header[0] != name]
    return record._replace(headers=[*others, *((name, each) for each in contents)])


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("ce_type", (b"loan.dead_letter.audit.v1",)),
        ("ce_type", ()),
        ("ce_type", (b"loan.decision.audit.v1", b"loan.dead_letter.audit.v1")),
        ("ce_time", (b"2020-01-01T00:00:00Z",)),
        ("ce_id", (b"decision-9999",)),
        ("schema_version", (b"2",)),
        ("ce_source", (b"/elsewhere",)),
    ],
)
def test_a_header_that_is_not_what_the_value_says_is_altered(
    name: str, contents: tuple[bytes, ...], tmp_path: Path
) -> None:
    """Missing, given twice or another: found at its offset, by the command and by the script."""
    records = list(SOUND)
    records[4] = relabelled(records[4], name, *contents)
    code, words = by_script(tmp_path, records)
    assert (code, words.strip()) == (1, f"altered at partition 0, offset 6: {name}")
    code, words = by_verb(tmp_path)
    assert code == 1
    assert f"altered: partition 0, offset 6, sequence 4: header {name} is" in words


def test_the_headers_of_a_dead_letters_audit_are_held_to_its_value() -> None:
    """As the engine writes them they are sound; as a decision's they are not."""
    record = Record(APPLICATIONS, 1, 2, b"k", b"v", [], 0)
    value, headers = encode_dead_letter_audit(record, PoisonError("invalid", "$", "no"), 0)
    assert mislabelled(value, headers) is None
    renamed = [(n, AUDITED.encode() if n == "ce_type" else v) for n, v in headers]
    assert "ce_type" in (mislabelled(value, renamed) or "")
    assert "neither" in (mislabelled(b"{}", headers) or "")


def without(topic: str, partition: int | None = None) -> list[Kept]:
    """Sound records but those of a topic, or all of a partition."""
    return [r for r in SOUND if r.topic != topic and r.partition != partition]


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (without(CHECKPOINTS), f"{CHECKPOINTS}/0: nothing signed"),
        (without("", 1), f"{AUDIT}/1: 0 records to offset 0 in the file, 5 to 9 by its manifest"),
        ([*SOUND, *chain(2, 3)], f"{AUDIT}/2: 3 records to offset 5 in the file, 0 to 0 by its"),
        ([], "no audit record was read"),
    ],
    ids=["no checkpoint", "a partition gone", "a partition put in", "all gone"],
)
def test_evidence_that_is_missing_is_not_sound(
    records: list[Kept], words: str, tmp_path: Path
) -> None:
    """Exit 1 and which of it, with the notary's key in hand; the script fails too."""
    code, _ = by_script(tmp_path, records)
    assert code == 1
    code, output = by_verb(tmp_path)
    assert code == 1
    assert words in output
    assert "sound" not in output


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no audit record was read"),
        ("".join(line_of(each) + "\n" for each in SOUND), "no manifest"),
        ("".join(line + "\n" for line in (manifest_line(2, []), *map(line_of, SOUND))), "by its"),
    ],
    ids=["empty", "no manifest", "one that lists nothing"],
)
def test_a_file_that_cannot_tell_what_is_missing_fails(
    text: str, words: str, keyed: bool, tmp_path: Path
) -> None:
    """With a key or without, nothing is called sound or said to hold."""
    by_script(tmp_path, SOUND)
    (tmp_path / "audit.jsonl").write_text(text, encoding="utf-8")
    code, output = by_verb(tmp_path, keyed=keyed)
    assert code == 1
    assert words in output
    assert "every" not in output


def test_a_part_of_the_audit_is_sound_only_as_a_part(tmp_path: Path) -> None:
    """An export of one partition of two fails as a whole, passes as itself."""
    by_script(tmp_path, SOUND)
    part = [r for r in SOUND if r.partition == 1]
    places = [Place(CHECKPOINTS, 1, 1, 1), Place(AUDIT, 1, 5, 9)]
    lines = [manifest_line(2, places), *map(line_of, part)]
    (tmp_path / "audit.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, output = by_verb(tmp_path)
    assert (code, "the topic had 2" in output) == (1, True)
    assert by_verb(tmp_path, "--partition", "1")[0] == 0


def test_a_partition_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    """Which there are is said; nothing is called sound."""
    by_script(tmp_path, SOUND)
    with pytest.raises(ConfigError, match=r"no such partition 99; it has 0 to 2"):
        FileSource(tmp_path / "audit.jsonl").bounds(AUDIT, 99)
    assert by_verb(tmp_path, "--partition", "99")[0] != 0


def test_what_is_no_manifest_is_refused(tmp_path: Path) -> None:
    """A damaged one, one of another version and one further down are no export's lines."""
    file, sound = tmp_path / "audit.jsonl", manifest_line(2, [])
    two = sound.replace('"manifest":1', '"manifest":2')
    for text in (sound[:-3], two, f"{sound}\n{sound}\n", " " * 80 + "\n"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match="line"):
            FileSource(file)


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
    """Reason, origin and field; told from a decision by what it says, whatever its label."""
    value = {"reason": "invalid", "field": "term_months", "source_topic": "loan.applications",
             "source_partition": 3, "source_offset": 41, "size_bytes": 812}  # fmt: skip
    for label in ("loan.dead_letter.audit.v1", AUDITED, ""):
        row = row_of(Stream.AUDIT, json.loads(json.dumps(value)), {"ce_type": label})
        assert (row.what, row.who, row.more) == ("invalid", "3/41", "term_months, 812 bytes")


def test_what_an_audit_record_is_its_content_says() -> None:
    """A decision's audit, a dead letter's, or neither, which is an error and not passed over."""
    audit = approval(1, 3)
    assert decision_audit(encode_audit(audit)) == audit
    record = Record(AUDIT, 1, 2, b"k", b"v", [], 0)
    letter, _ = encode_dead_letter_audit(record, PoisonError("invalid", "$", "no"), 0)
    assert decision_audit(letter) is None
    for other in (b"{}", b"\xff", b""):
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
            decision_audit(other)


@pytest.mark.parametrize("label", [b"loan.dead_letter.audit.v1", AUDITED.encode(), b""])
def test_a_trial_counts_every_decision_however_it_is_labelled(label: bytes) -> None:
    """A header takes nothing out of a trial's evidence, nor a dead letter into it."""
    book = book_for(load_settings(), "consumer")
    record = Record(AUDIT, 0, 0, b"k", encode_audit(tried(1, drawn=True)),
                    [("ce_type", label)], 0)  # fmt: skip
    hear(book, record)
    assert book.newest is not None
    letter, _ = encode_dead_letter_audit(record, PoisonError("invalid", "$", "no"), 0)
    hear(book, record._replace(value=letter))


def test_what_replay_tells_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """The id and the detail of a forged record are shown as they are spelt."""
    told = Replayed(Verdict.UNREADABLE, "[red]app[/]\x1b[2J", detail="[bold]x")
    tally = Tally.empty()._replace(shown=[(3, 41, told)])
    tally.records[Verdict.UNREADABLE] = 1
    _tell(tally, 1.0, as_json=False)
    assert r"[red]app[/]\x1b[2J at decision.audit/3/41:  ([bold]x)" in capsys.readouterr().out
