"""What forged or altered dead letters get: neither a way to a topic nor to a terminal."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from builders import HEADERS, NOW_MS, application_bytes
from policy_cases import TOKEN
from rich.console import Console
from typer.testing import CliRunner

from stream.cli import app
from stream.codec.dead_letter_v1 import (
    REASONS,
    REPLAYED_FROM,
    DeadLetterError,
    decode_dead_letter,
    encode_dead_letter,
    open_dead_letter,
)
from stream.codec.seal import Sealer, Sealers
from stream.domain.topics import APPLICATIONS, DEAD_LETTERS
from stream.edge.letter_keys import write_key
from stream.errors import ConfigError, PoisonError
from stream.ops import dlq_cli
from stream.ops.dlq_read import Found
from stream.ops.dlq_replay import Plan, plan, superseded_by_replay
from stream.ops.dlq_show import MEANING, print_letter, print_list, print_plans
from stream.ports import Record

SEALER = Sealer(hashlib.sha256(b"a key of the tests").digest())
SEALERS = {SEALER.key_id: SEALER}
ESCAPES = "\x1b[2J\x9b1m[red]x[/]\n:smile:"


def letter(
    reason: str = "invalid",
    *,
    sealer: Sealer | None = SEALER,
    was: str | None = None,
    offset: int = 7,
    **claims: str,
) -> Found:
    """A letter of a sound application; `claims` stand in its headers, `was` in the record's."""
    headers = [*HEADERS, *([(REPLAYED_FROM, was.encode())] if was else [])]
    record = Record(APPLICATIONS, 1, offset, TOKEN.encode(), application_bytes(), headers, NOW_MS)
    error = PoisonError(reason, "term_months", "missing")
    value, sealed = encode_dead_letter(record, error, NOW_MS, sealer)
    forged = {name.replace("_", "-"): text.encode() for name, text in claims.items()}
    found = [*({**dict(sealed), **forged}).items()]
    kept = Record(DEAD_LETTERS, 1, offset, TOKEN.encode(), value, found, NOW_MS)
    return Found(1, offset, decode_dead_letter(kept))


def planned(found: Found, sealers: Sealers = SEALERS, *, conflicts: bool = False) -> Plan:
    (made,) = plan([found], sealers, set(), conflicts=conflicts)
    return made


def test_a_letter_as_the_engine_sealed_it_is_sent() -> None:
    """The sound one passes: what follows stays for what is wrong with it alone."""
    assert planned(letter()).verdict == "would pass"
    assert planned(letter("conflict"), conflicts=True).verdict == "would pass"


@pytest.mark.parametrize("sealers", [{}, SEALERS], ids=["without a key", "with one"])
def test_bytes_in_the_open_go_nowhere(sealers: Sealers) -> None:
    """No engine keeps bytes unsealed, so they are not sent, key or no key."""
    found = letter()
    forged = found._replace(
        letter=found.letter._replace(encryption="none", kept=application_bytes())
    )
    made = planned(forged, sealers)
    assert (made.original, made.verdict.endswith("forged?")) == (None, True)


def test_a_conflict_under_another_name_stays() -> None:
    """The reason is sealed; a header that differs does not open, and an unknown one is refused."""
    relabelled = letter("conflict", x_error_reason="invalid")
    made = planned(relabelled)
    assert (made.original, "x-error-reason" in made.verdict) == (None, True)
    with pytest.raises(DeadLetterError, match="x-error-reason"):
        open_dead_letter(relabelled.letter, SEALERS)
    made = planned(letter(x_error_reason="harmless"))
    assert (made.original, made.verdict.endswith("forged?")) == (None, True)
    assert set(REASONS) == set(MEANING)


def test_only_a_sealed_word_marks_a_letter_as_sent_before() -> None:
    """A header says nothing, in the open or with a key; the sealed record's own header does."""
    said = [
        letter(x_replayed_from="3/41"),
        letter(sealer=None, was="3/42"),
        letter(was="3/43", offset=8),
    ]
    assert superseded_by_replay(said, SEALERS) == {"3/43"}
    assert superseded_by_replay(said, {}) == set()


def shown(found: Found, made: Plan) -> str:
    console = Console(file=io.StringIO(), width=400, force_terminal=True, color_system=None)
    print_list(console, [found], 1)
    print_letter(console, found, None)
    print_plans(console, [made], sent=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    "header",
    ["x-error-reason", "x-error-field", "x-error-detail", "x-origin-topic", "x-key-id",
     "x-encryption", "x-sha256", "x-replayed-from"],
)  # fmt: skip
def test_no_header_commands_a_terminal(header: str) -> None:
    """Escapes, line breaks, markup and names of pictures come out as they are spelt."""
    found = letter(**{header: ESCAPES})
    text = shown(found, planned(found))
    assert "\\x1b[2J\\x9b1m[red]x[/]\\n:smile:" in text
    assert not {"\x1b[2J", "\x9b"} & {part for part in ("\x1b[2J", "\x9b") if part in text}


@pytest.mark.parametrize(
    ("change", "words", "fix"),
    [
        ({"x_sha256": "00" * 32}, "do not match x-sha256", "do not send"),
        ({"x_origin_offset": "99"}, "taken from another letter", "do not send"),
        ({"x_key_id": "0" * 16}, "not at hand", "name its key"),
    ],
)
def test_reveal_says_whether_the_key_is_missing_or_the_letter_altered(
    change: dict[str, str], words: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key helps only where one is missing; what was altered is for the SRE."""
    file = tmp_path / "letters.key"
    found = letter(sealer=write_key(file), **change)
    monkeypatch.setenv("TENMINUTE_DEAD_LETTER_KEY_FILE", str(file))
    monkeypatch.setattr(dlq_cli, "read_letter", lambda *_: found)
    result = CliRunner().invoke(app, ["dlq", "show", "1/7", "--reveal"])
    assert isinstance(result.exception, ConfigError)
    assert words in str(result.exception)
    assert fix in result.exception.fix
