"""Key files of dead letters: made private, refused when open or malformed, kept for reading."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from stream.config import as_environment, load_settings
from stream.edge.letter_keys import read_sealer, read_sealers, sealer_of, write_key
from stream.errors import ConfigError

KEY = bytes(range(32))


def key_file(path: Path, text: str, mode: int = 0o600) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="latin-1")
    path.chmod(mode)
    return path


def test_a_written_key_is_its_owners_and_read_back(tmp_path: Path) -> None:
    """`write_key` makes a file of mode 0600, in folders that need not be there."""
    written = write_key(tmp_path / "keys" / "letters.key")
    assert stat.S_IMODE((tmp_path / "keys" / "letters.key").stat().st_mode) == 0o600
    assert written.key_id == sealer_of(tmp_path / "keys" / "letters.key").key_id


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    """A key that sealed letters is not lost to a second call."""
    file = tmp_path / "letters.key"
    written = write_key(file)
    with pytest.raises(ConfigError, match="there already"):
        write_key(file)
    assert written.key_id == sealer_of(file).key_id


@pytest.mark.parametrize("text", [KEY.hex(), f"{KEY.hex().upper()}\n", base64.b64encode(KEY)])
def test_hex_and_base64_are_the_same_key(tmp_path: Path, text: str | bytes) -> None:
    """Whoever makes the key by another tool may write it either way."""
    spelt = text.decode() if isinstance(text, bytes) else text
    expected = sealer_of(key_file(tmp_path / "a", KEY.hex())).key_id
    assert expected == sealer_of(key_file(tmp_path / "b", spelt)).key_id


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o620, 0o666, 0o601])
def test_a_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    """The message says how to close it."""
    file = key_file(tmp_path / "letters.key", KEY.hex(), mode)
    with pytest.raises(ConfigError, match=f"chmod 600 {file}"):
        sealer_of(file)


def test_a_secret_mounted_for_the_group_is_taken(tmp_path: Path) -> None:
    """Containers get their secrets with mode 0440."""
    assert sealer_of(key_file(tmp_path / "letters.key", KEY.hex(), 0o440)).key_id


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "0 bytes, expected 32"),
        (KEY[:31].hex(), "62 characters, neither hex nor base64"),
        ("g" * 64, "neither hex nor base64"),
        ("пароль", "neither hex nor base64|not text"),
        ("-----BEGIN PRIVATE KEY-----", "neither hex nor base64"),
    ],
)
def test_a_malformed_key_is_refused_without_being_shown(
    tmp_path: Path, text: str, what: str
) -> None:
    """The message names the file and the shape, never the text."""
    file = tmp_path / "letters.key"
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=what) as refused:
        sealer_of(file)
    assert not text or text not in str(refused.value)
    assert "tenminute dlq key" in refused.value.fix


def test_a_missing_key_is_refused(tmp_path: Path) -> None:
    """An engine told to seal never writes in the open for want of its key."""
    settings = load_settings(dead_letter_key_file=tmp_path / "absent")
    with pytest.raises(ConfigError, match="No such file"):
        read_sealer(settings)


def test_old_keys_open_and_the_present_one_seals(tmp_path: Path) -> None:
    """After a rotation both are at hand for reading."""
    old, new = write_key(tmp_path / "old"), write_key(tmp_path / "new")
    settings = load_settings(
        dead_letter_key_file=tmp_path / "new", dead_letter_old_key_files=[tmp_path / "old"]
    )
    sealer = read_sealer(settings)
    assert sealer is not None
    assert new.key_id == sealer.key_id
    assert {old.key_id, new.key_id} == set(read_sealers(settings))


def test_without_a_key_nothing_is_sealed_and_children_are_told_so(tmp_path: Path) -> None:
    """No key file means none, also in the environment a worker starts with."""
    settings = load_settings()
    assert read_sealer(settings) is None
    assert read_sealers(settings) == {}
    assert "TENMINUTE_DEAD_LETTER_KEY_FILE" not in as_environment(settings)
    named = load_settings(dead_letter_key_file=tmp_path / "k")
    assert str(tmp_path / "k") == as_environment(named)["TENMINUTE_DEAD_LETTER_KEY_FILE"]
