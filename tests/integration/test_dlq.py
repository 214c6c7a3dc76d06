"""Dead letters on a real Kafka: listed, shown, opened with the key, sent again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import HEADERS, application_bytes, token
from typer.testing import CliRunner

from stream.broker import EmbeddedBroker
from stream.cli import app
from stream.codec.dead_letter_v1 import encode_dead_letter
from stream.codec.headers import Headers
from stream.codec.keys import partition_of
from stream.config import Settings, load_settings
from stream.domain.instant import from_ms
from stream.domain.topics import APPLICATIONS, DEAD_LETTERS
from stream.edge.clients import consumer, producer
from stream.edge.letter_keys import read_sealer, write_key
from stream.errors import ConfigError, PoisonError
from stream.ops.dlq_show import printable
from stream.ports import Record

pytestmark = pytest.mark.broker
Spoil = Callable[[bytes, Headers], tuple[bytes, Headers]]


def run(*words: str, code: int = 0) -> str:
    """A verb's output, after the exit code it must have had."""
    result = CliRunner().invoke(app, words, catch_exceptions=True)
    assert (result.exit_code, result.exception) in ((code, None), (code, result.exception))
    return result.output


@pytest.fixture
def settings(broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that seal with a key of their own, in the environment as a user would have them."""
    key = tmp_path / "letters.key"
    write_key(key)
    monkeypatch.setenv("TENMINUTE_BOOTSTRAP", broker.bootstrap)
    monkeypatch.setenv("TENMINUTE_DEAD_LETTER_KEY_FILE", str(key))
    return load_settings()


def this_moment() -> str:
    """To the millisecond, so that no letter of an earlier test is in the range it opens."""
    time.sleep(0.002)
    return from_ms(time.time_ns() // 1_000_000)


def bury(
    settings: Settings, person: int, reason: str, spoil: Spoil | None = None, *, seal: bool = True
) -> str:
    """Write one dead letter as the engine does, sealed or with its outline; its place."""
    key, now_ms = token(person).encode(), time.time_ns() // 1_000_000
    value = application_bytes(
        applicant_token=token(person), application_id=f"letter-{now_ms}-{person}"
    )
    record = Record(APPLICATIONS, 1, person, key, value, HEADERS, now_ms)
    error = PoisonError(reason, "term_months", "missing")
    sealer = read_sealer(settings) if seal else None
    value, headers = encode_dead_letter(record, error, now_ms, sealer)
    if spoil is not None:
        value, headers = spoil(value, headers)
    places: list[str] = []
    client = producer(settings)
    client.produce(
        DEAD_LETTERS,
        value,
        key,
        1,
        headers=list(headers),
        on_delivery=lambda _, sent: places.append(f"{sent.partition()}/{sent.offset()}"),
    )
    assert client.flush(20) == 0
    return places[0]


def sent_again(settings: Settings, place: str) -> list[tuple[int, bytes]]:
    """Partition and key of every application that names this letter."""
    reader = consumer(settings, "test-dlq", **{"auto.offset.reset": "earliest"})
    reader.subscribe([APPLICATIONS])
    found, until = [], time.monotonic() + 20
    while time.monotonic() < until and not found:
        for message in reader.consume(500, 0.5):
            headers = dict(message.headers() or [])
            if headers.get("x-replayed-from") == place.encode():
                found.append((message.partition() or 0, message.key() or b""))
    reader.close()
    return found


def test_a_letter_is_listed_and_shown_and_only_revealed_on_demand(settings: Settings) -> None:
    """The list counts it, `show` says what to do, the bytes need --reveal; no key is printed."""
    place = bury(settings, 71, "invalid")
    listed = json.loads(run("dlq", "list", "--json"))
    assert place in [letter["place"] for letter in listed["letters"]]
    assert "term_months" in run("dlq", "list")
    closed = run("dlq", "show", place)
    assert "sends the application again" in closed
    assert token(71) not in closed + run("dlq", "list")
    assert token(71) in run("dlq", "show", place, "--reveal")


def test_a_letter_does_not_open_without_its_key(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another key is named as missing, and an old one still opens."""
    place = bury(settings, 72, "invalid")
    fresh = tmp_path / "fresh.key"
    write_key(fresh)
    monkeypatch.setenv("TENMINUTE_DEAD_LETTER_KEY_FILE", str(fresh))
    run("dlq", "show", place, "--reveal", code=1)
    old = json.dumps([str(settings.dead_letter_key_file)])
    monkeypatch.setenv("TENMINUTE_DEAD_LETTER_OLD_KEY_FILES", old)
    assert token(72) in run("dlq", "show", place, "--reveal")


def test_replay_sends_the_original_to_its_right_partition(settings: Settings) -> None:
    """Dry run says it would pass and sends nothing; the real one keeps key and content."""
    since = this_moment()
    place = bury(settings, 73, "wrong_key")
    words = ("dlq", "replay", "--reason", "wrong_key", "--since", since, "--json")
    (row,) = [r for r in json.loads(run(*words, "--dry-run")) if r["place"] == place]
    assert (row["verdict"], row["would_send"], row["sent"]) == ("would pass", True, False)
    (row,) = [r for r in json.loads(run(*words)) if r["place"] == place]
    assert row["sent"]
    home = partition_of(token(73).encode(), 6)
    assert sent_again(settings, place) == [(home, token(73).encode())]


def test_altered_cut_and_conflicting_letters_stay(settings: Settings) -> None:
    """A flipped bit, a cut value and a conflict nobody asked for are not sent."""
    since = this_moment()
    altered = bury(settings, 74, "invalid", lambda v, h: (v[:-1] + bytes([v[-1] ^ 1]), h))
    cut = bury(settings, 75, "invalid", lambda v, h: (v, [*h, ("x-truncated", b"1")]))
    conflict = bury(settings, 76, "conflict")
    words = ("dlq", "replay", "--dry-run", "--since", since, "--json")
    rows = json.loads(run(*words, code=1))
    stay = {row["place"]: row["verdict"] for row in rows if not row["would_send"]}
    assert {altered, cut, conflict} <= set(stay)
    assert "--reason conflict" in stay[conflict]


def test_a_letter_that_was_not_kept_says_what_to_do(settings: Settings) -> None:
    """Of an engine without a key: shown with its outline, neither revealed nor sent."""
    since = this_moment()
    place = bury(settings, 79, "invalid", seal=False)
    shown = run("dlq", "show", place)
    for said in ("nothing but the outline", "cannot be done from here", "dead_letter_key_file"):
        assert said in " ".join(shown.split())
    document = json.loads(run("dlq", "show", place, "--json"))
    assert (document["kept"], document["outline"]["key_bytes"]) == (False, len(token(79)))
    refused = CliRunner().invoke(app, ["dlq", "show", place, "--reveal"])
    assert (refused.exit_code, "not kept" in str(refused.exception)) == (1, True)
    rows = json.loads(run("dlq", "replay", "--since", since, "--json"))
    (row,) = [row for row in rows if row["place"] == place]
    assert (row["sent"], row["verdict"].startswith("not kept")) == (False, True)
    assert "dead_letter_key_file" in row["verdict"]


def test_a_forged_letter_goes_nowhere(settings: Settings) -> None:
    """Neither to a topic the engine does not read, nor unsealed where letters are sealed."""
    since = this_moment()

    def elsewhere(value: bytes, headers: Headers) -> tuple[bytes, Headers]:
        renamed = [h for h in headers if h[0] != "x-origin-topic"]
        return value, [*renamed, ("x-origin-topic", b"disbursement.decisions")]

    def unsealed(_: bytes, headers: Headers) -> tuple[bytes, Headers]:
        kept = [h for h in headers if h[0] not in ("x-encryption", "x-key-id")]
        return application_bytes(), [*kept, ("x-encryption", b"none")]

    forged = {bury(settings, 77, "invalid", elsewhere), bury(settings, 78, "invalid", unsealed)}
    rows = json.loads(run("dlq", "replay", "--dry-run", "--since", since, "--json"))
    assert forged == {row["place"] for row in rows if row["verdict"].endswith("forged?")}


def test_revealed_bytes_cannot_command_a_terminal() -> None:
    """Escape sequences and markup are spelt out."""
    assert printable(b"\x1b[2J[/x]\xff\n") == "\\x1b[2J[/x]\\xff\\n"


def test_a_place_without_a_letter_is_one_clear_line(settings: Settings) -> None:
    """Neither a traceback nor silence."""
    assert settings.dead_letter_key_file is not None
    for place, words in (
        ("1/99999999", "no dead letter at"),
        ("nowhere", "is no place"),
        ("99/0", "no such partition 99; it has 0 to"),
    ):
        result = CliRunner().invoke(app, ["dlq", "show", place])
        assert isinstance(result.exception, ConfigError)
        assert words in str(result.exception)
