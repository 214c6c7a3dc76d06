"""`doctor` looks at everything, whatever is broken, and says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from stream.broker.place import free_port
from stream.config import load_settings
from stream.edge.key_pairs import OPERATOR
from stream.edge.letter_keys import write_key
from stream.errors import Exit
from stream.ops.doctor import doctor, examine
from stream.ops.doctor_keys import Remark, control_keys, letter_keys
from stream.ops.doctor_local import SCHEMAS

CHECKS = [
    "python", "disk", "policy", "models", "schemas", "control key", "letter key",
    "broker", "topics", "store", "commands", "commanded models",
]  # fmt: skip


def settings_of(tmp_path: Path, **changes: Any) -> Any:
    closed = f"127.0.0.1:{free_port()}"
    return load_settings(state_dir=tmp_path / "state", bootstrap=closed, **changes)


def test_everything_broken_is_found_in_one_run(tmp_path: Path) -> None:
    """A broken policy, a missing model and no broker each get a row with a fix and own code."""
    policy = tmp_path / "policy.toml"
    policy.write_text("policy_id = ", encoding="utf-8")
    (tmp_path / "models" / "consumer").mkdir(parents=True)
    found = examine(settings_of(tmp_path, policy_file=policy, models_dir=tmp_path / "models"))
    assert [each.check for each in found] == CHECKS
    codes = {each.check: each.code for each in found}
    assert codes["python"] == codes["schemas"] == Exit.OK
    assert codes["policy"] == codes["store"] == Exit.CONFIG
    assert codes["models"] == Exit.MODEL
    assert codes["broker"] == codes["topics"] == Exit.BROKER
    assert all(each.fix for each in found if each.code != Exit.OK)


def test_only_what_is_wrong_is_reported(tmp_path: Path) -> None:
    """Without a broker, the shipped policy, models and schemas are still found well."""
    codes = {each.check: each.code for each in examine(settings_of(tmp_path))}
    assert codes["policy"] == codes["models"] == codes["schemas"] == Exit.OK
    assert codes["broker"] == Exit.BROKER


@pytest.mark.parametrize("content", [None, b"{", b'{"type": 7}'])
def test_a_schema_that_is_missing_or_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    """The finding names the file at fault."""
    for name in SCHEMAS:
        (tmp_path / f"{name}.schema.json").write_bytes(b"{}")
    file = tmp_path / "loan.outcomes.schema.json"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    found = {each.check: each for each in examine(settings_of(tmp_path, schemas_dir=tmp_path))}
    assert found["schemas"].code == Exit.CONFIG
    assert file.name in found["schemas"].detail


def test_a_key_that_is_not_set_is_no_fault_and_has_a_fix(tmp_path: Path) -> None:
    """An engine runs without either, so the exit code stays; what it lacks is said."""
    settings = settings_of(tmp_path)
    for check in (control_keys, letter_keys):
        (remark,) = check(settings)
        assert remark.detail.startswith("not set")
        assert remark.fix


def test_keys_that_are_set_are_named_by_their_ids(tmp_path: Path) -> None:
    """Trusted, sealing and opening keys, by the ids that records carry; never the keys."""
    _, public_file, control_id = OPERATOR.make(tmp_path / "keys")
    present, older = (write_key(tmp_path / name) for name in ("present", "older"))
    settings = settings_of(
        tmp_path,
        control_key_files=[public_file],
        dead_letter_key_file=tmp_path / "present",
        dead_letter_old_key_files=[tmp_path / "older"],
    )
    (trusted,) = control_keys(settings)
    assert Remark(f"commands count under {control_id}") == trusted
    expected = [
        Remark(f"dead letters are sealed under {present.key_id}"),
        Remark(f"older ones are opened with {older.key_id}"),
    ]
    assert expected == list(letter_keys(settings))


def test_a_key_file_that_holds_none_is_named(tmp_path: Path) -> None:
    """Each is a fault of the settings, with its file and what mends it."""
    for name in ("control.pub", "letters"):
        (tmp_path / name).write_text("no key", encoding="ascii")
        (tmp_path / name).chmod(0o600)
    control_files = [tmp_path / "control.pub"]
    settings = settings_of(
        tmp_path, control_key_files=control_files, dead_letter_key_file=tmp_path / "letters"
    )
    found = {each.check: each for each in examine(settings)}
    for check, name in (("control key", "control.pub"), ("letter key", "letters")):
        assert found[check].code == Exit.CONFIG
        assert name in found[check].detail
        assert found[check].fix


def test_the_schemas_looked_for_are_the_schemas_shipped() -> None:
    """The list and the folder are the same."""
    folder = load_settings().schemas_dir
    shipped = {file.name.removesuffix(".schema.json") for file in folder.glob("*.schema.json")}
    assert set(SCHEMAS) == shipped


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_command_exits_with_the_worst_finding(tmp_path: Path, options: list[str]) -> None:
    """Without a broker the command exits 3, as a table or as JSON."""
    config = tmp_path / "tenminute.toml"
    config.write_text(f'state_dir = "{tmp_path}"\n', encoding="utf-8")
    app = typer.Typer()
    app.command()(doctor)
    closed = f"127.0.0.1:{free_port()}"
    result = CliRunner().invoke(app, ["--config", str(config), "--bootstrap", closed, *options])
    assert result.exit_code == Exit.BROKER
    if options:
        rows = json.loads(result.output)
        assert [row["check"] for row in rows] == CHECKS
        assert {row["check"]: row["ok"] for row in rows}["models"]
    else:
        assert "✓  policy" in result.output
        assert "✗  broker" in result.output
        assert "fix:" in result.output
