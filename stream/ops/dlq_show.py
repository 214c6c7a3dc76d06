"""Dead letters for people: what a reason means, what to do, and tables that line up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.codec.dead_letter_v1 import DeadLetter, Original
from stream.ops.dlq_read import Found
from stream.ops.dlq_replay import Plan

FOR_THOSE_TO_COME = (
    "the channel sends it again; for those to come, make a key with `tenminute dlq key FILE` and "
    "name it as dead_letter_key_file"
)
ALTERED = "it was altered since it was written: do not send it, and tell the SRE on call"
MEANING = {
    "unreadable": (
        "the bytes are not one JSON object of the schema's form",
        "the channel's encoder is at fault: show it the detail; replay does not help",
    ),
    "invalid": (
        "a field is missing, of the wrong type or out of its bounds",
        "the channel mends the field and sends the application again, under the same id",
    ),
    "conflict": (
        "the id is already answered, and the content differs",
        "a changed application needs a new id; replay only to prove the point",
    ),
    "oversize": (
        "larger or nested deeper than any honest record",
        "find out what it is before anything else; replay does not help",
    ),
    "wrong_key": (
        "the record's key is not the applicant token",
        "the channel sets the key to applicant_token and sends it again",
    ),
}


def counts_of(letters: Sequence[Found]) -> list[tuple[str, str, int]]:
    """Reason, field and how many, most first."""
    tally = Counter((found.letter.reason, found.letter.field) for found in letters)
    return [(reason, field, count) for (reason, field), count in tally.most_common()]


def document_of(found: Found) -> dict[str, Any]:
    """One letter for machines: everything but the bytes and the key."""
    letter = found.letter
    return {
        "place": found.place,
        "reason": letter.reason,
        "field": letter.field,
        "detail": letter.detail,
        "origin": letter.origin,
        "at": letter.at,
        "sha256": letter.sha256,
        "bytes": len(letter.kept),
        "truncated": letter.truncated,
        "encryption": letter.encryption,
        "key_id": letter.key_id,
        "replayed_from": letter.replayed_from,
        "kept": letter.outline is None,
        "outline": msgspec.to_builtins(letter.outline),
    }


def print_list(console: Console, letters: Sequence[Found], newest: int) -> None:
    """Counts by reason and field, then the newest letters."""
    table = Table(title=f"{len(letters):,} dead letters", title_justify="left", box=None)
    for name in ("reason", "field"):
        table.add_column(name)
    table.add_column("letters", justify="right")
    for reason, field, count in counts_of(letters):
        table.add_row(_cell(reason), _cell(field), f"{count:,}")
    console.print(table)
    if not letters:
        return
    latest = sorted(letters, key=lambda found: found.letter.at, reverse=True)[:newest]
    table = Table(title=f"\nthe newest {len(latest)}", title_justify="left", box=None)
    for name in ("place", "at", "reason", "field", "detail", "origin"):
        table.add_column(name, overflow="fold")
    for found in latest:
        letter = found.letter
        said = (letter.at, letter.reason, letter.field, letter.detail, letter.origin)
        table.add_row(found.place, *map(_cell, said))
    console.print(table)


def print_letter(console: Console, found: Found, original: Original | None) -> None:
    """One letter in plain words; the bytes only when they were opened for it."""
    letter = found.letter
    means, do = MEANING.get(letter.reason, ("not a reason this version knows", "ask the engine's"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, text in (
        ("Dead letter", found.place),
        ("Reason", f"{letter.reason}: {means}"),
        ("Field", f"{letter.field}: {letter.detail}"),
        ("What to do", do),
        ("Came from", f"{letter.origin}, set aside at {letter.at}"),
        *_kept(letter),
        ("SHA-256", letter.sha256),
        ("Replayed from", letter.replayed_from or "never"),
    ):
        grid.add_row(name, _cell(text))
    console.print(grid)
    if original is None and letter.outline is None:
        console.print("\nThe bytes stay closed; --reveal shows them.", style="dim")
    if original is None:
        return
    console.print(f"\nkey    {printable(original.key)}", markup=False)
    for name, value in original.headers:
        line = f"header {printable(name.encode())} = {printable(value)}"
        console.print(line, markup=False)
    console.print(printable(original.value), markup=False)


def _kept(letter: DeadLetter) -> list[tuple[str, str]]:
    """How it was kept, or that it was not and what that means for sending it again."""
    if letter.outline is None:
        sealed = f"{letter.encryption}, key {letter.key_id}" if letter.sealed else "not sealed"
        cut = ", cut" if letter.truncated else ""
        return [("Kept", f"{len(letter.kept):,} bytes{cut}, {sealed}")]
    return [
        ("Kept", "nothing but the outline: the engine had no dead_letter_key_file"),
        ("Outline", printable(msgspec.json.encode(letter.outline))),
        ("Send again", f"cannot be done from here: {FOR_THOSE_TO_COME}"),
    ]


def printable(content: bytes | None) -> str:
    """Bytes as text that cannot command a terminal."""
    return spelt((content or b"none").decode("utf-8", "backslashreplace"))


def spelt(text: str) -> str:
    """Text with its control characters, line breaks too, spelt out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cell(text: str) -> Text:
    """What a header says, as it is: neither markup nor a command to the terminal."""
    return Text(spelt(text))


def print_plans(console: Console, plans: Sequence[Plan], *, sent: bool) -> None:
    """What goes where, and what stays, by verdict."""
    tally = Counter((p.original is not None, p.found.letter.reason, p.verdict) for p in plans)
    table = Table(box=None)
    for name in ("", "reason", "verdict"):
        table.add_column(name)
    table.add_column("letters", justify="right")
    goes = "sent" if sent else "would be sent"
    for (going, reason, verdict), count in sorted(tally.items(), reverse=True):
        table.add_row(goes if going else "stays", _cell(reason), _cell(verdict), f"{count:,}")
    console.print(table)
