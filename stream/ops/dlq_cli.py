"""`tenminute dlq`: look at dead letters, and send again what has been mended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from stream.codec.dead_letter_v1 import DeadLetterError, NotKeptError, open_dead_letter
from stream.codec.seal import KeyMissingError, SealError
from stream.config import load_settings
from stream.domain.instant import to_ms
from stream.edge.letter_keys import read_sealers, write_key
from stream.errors import ConfigError, Exit
from stream.ops.dlq_read import Found, read_letter, read_letters
from stream.ops.dlq_replay import CLOSED, CONFLICT, plan, send, superseded_by_replay
from stream.ops.dlq_show import (
    ALTERED,
    FOR_THOSE_TO_COME,
    counts_of,
    document_of,
    print_letter,
    print_list,
    print_plans,
    spelt,
)

dlq_app = typer.Typer(
    no_args_is_help=True,
    help="Dead letters: what they are, why, and sending them again.",
    epilog="Example: tenminute dlq list --reason invalid",
)
Config = Annotated[Path | None, typer.Option(help="Settings file.")]
Bootstrap = Annotated[str | None, typer.Option(help="Kafka bootstrap servers.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document for machines.")]
Reason = Annotated[str | None, typer.Option(help="Only letters of this reason.")]
Since = Annotated[str | None, typer.Option(help="Only letters set aside at or after; RFC 3339.")]


@dlq_app.command("list", epilog="Example: tenminute dlq list --since 2026-11-25T00:00:00Z")
def list_(
    *,
    reason: Reason = None,
    since: Since = None,
    newest: Annotated[int, typer.Option(min=0, help="How many to name.")] = 10,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Counts by reason and field, and the newest letters."""
    settings = load_settings(config, bootstrap=bootstrap)
    letters = _chosen(list(read_letters(settings)), reason, since)
    if as_json:
        counts = [{"reason": r, "field": f, "letters": n} for r, f, n in counts_of(letters)]
        found = {"counts": counts, "letters": [document_of(each) for each in letters]}
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        print_list(Console(highlight=False), letters, newest)


@dlq_app.command(epilog="Example: tenminute dlq show 3/41 --reveal")
def show(
    place: Annotated[str, typer.Argument(help="PARTITION/OFFSET, as `list` names it.")],
    *,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show the original bytes.")] = False,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """One letter in plain words, and what to do; the original only with --reveal.

    What --reveal prints may be somebody's data: mind who is looking.
    """
    settings = load_settings(config, bootstrap=bootstrap)
    found = read_letter(settings, place)
    original = None
    if reveal:
        try:
            original = open_dead_letter(found.letter, read_sealers(settings))
        except NotKeptError as error:
            raise ConfigError(str(error), fix=FOR_THOSE_TO_COME) from None
        except KeyMissingError as error:
            fix = "name its key: dead_letter_old_key_files"
            raise ConfigError(spelt(str(error)), fix=fix) from None
        except (SealError, DeadLetterError) as error:
            raise ConfigError(spelt(str(error)), fix=ALTERED) from None
    if as_json:
        document = document_of(found)
        if original is not None:
            document["original"] = (original.value or b"").decode("utf-8", "backslashreplace")
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        print_letter(Console(highlight=False), found, original)


@dlq_app.command(epilog="Example: tenminute dlq replay --reason invalid --dry-run")
def replay(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say it, do not do it.")] = False,
    reason: Reason = None,
    since: Since = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    config: Config = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Send the originals again, to the topics they came from, keyed as they were.

    Never a cut one, nor one of an engine without dead_letter_key_file, which keeps none, nor
    one in the open; a conflict only when asked for by --reason conflict. A record sent twice is
    decided once. Exit 1 when a letter cannot be opened.
    """
    settings = load_settings(config, bootstrap=bootstrap)
    everything = list(read_letters(settings))
    letters = _chosen(everything, reason, since)[:limit]
    sealers, conflicts = read_sealers(settings), reason == CONFLICT
    sent_before = superseded_by_replay(everything, sealers)
    plans = list(plan(letters, sealers, sent_before, conflicts=conflicts))
    if not dry_run:
        going = [each for each in plans if each.original is not None]
        sending = send(settings, going)
        quiet = as_json or len(going) < 1_000
        for _ in track(sending, "sending", total=len(going), disable=quiet):
            pass
    if as_json:
        rows = [
            {**document_of(each.found), "sent": each.original is not None and not dry_run,
             "would_send": each.original is not None, "verdict": each.verdict}
            for each in plans
        ]  # fmt: skip
        typer.echo(json.dumps(rows, ensure_ascii=False))
    else:
        print_plans(Console(highlight=False), plans, sent=not dry_run)
    if any(each.verdict.startswith(CLOSED) for each in plans):
        raise typer.Exit(Exit.FAILED)


@dlq_app.command(epilog="Example: tenminute dlq key /etc/tenminute/letters.key")
def key(
    file: Annotated[Path, typer.Argument(help="File of the new key; never one that is there.")],
) -> None:
    """Write a fresh key, readable by its owner only; name it as dead_letter_key_file."""
    sealer = write_key(file)
    typer.echo(f"{file}: key {sealer.key_id}")
    raise typer.Exit(Exit.OK)


def _chosen(letters: list[Found], reason: str | None, since: str | None) -> list[Found]:
    try:
        since_ms = to_ms(since) if since else 0
    except ValueError:
        raise ConfigError(f"--since {since}: no instant", fix="2026-11-25T00:00:00Z") from None
    return [
        found
        for found in letters
        if reason in (None, found.letter.reason) and to_ms(found.letter.at) >= since_ms
    ]
