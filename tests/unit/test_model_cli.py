"""`tenminute model`: sign, validate, push and list, without a broker."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from control_cases import ISSUED_AT, KEY, SECOND_KEY, TRUSTED, command
from model_cases import STRANGER_KEY, rewrite, signed, small_folder, starting
from model_cases import TRUSTED as RELEASED
from typer.testing import CliRunner

from stream.cli import app
from stream.config import Settings, load_settings
from stream.domain.control import Command, Placed, Switches
from stream.domain.instant import to_ms
from stream.domain.lineup import Alias, ModelChange
from stream.edge.key_pairs import RELEASE
from stream.edge.onnx_scorer import OnnxScorer, load_models
from stream.edge.registry import ALIASES_FILE, start_of, versions
from stream.errors import ConfigError, ModelError
from stream.ops import model_place
from stream.ops.doctor_models import opened
from stream.ops.model_place import (
    Place,
    before,
    check_follows,
    countersign,
    facts_of,
    propose,
    signed_by,
    words,
)


class Desk:
    """A release's key, an engine's models_dir, and the verbs under settings that trust the key."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.models = folder, folder / "models"
        self.say("keygen", str(folder / "release"))
        self.key = folder / "release" / "release.key"
        public = folder / "release" / "release.pub"
        monkeypatch.setenv("TENMINUTE_MODELS_DIR", str(self.models))
        monkeypatch.setenv("TENMINUTE_MODEL_KEY_FILES", json.dumps([str(public)]))

    @property
    def settings(self) -> Settings:
        return load_settings()

    def say(self, *arguments: str) -> str:
        """What a verb prints; whatever it raises."""
        result = CliRunner().invoke(app, ["model", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    def told(self, *arguments: str) -> Any:
        return json.loads(self.say(*arguments, "--json"))

    def trained(self, version: str) -> Path:
        """A new version, signed by the release."""
        folder = small_folder(self.folder / "build" / version, version)
        self.told("sign", str(folder), "--key", str(self.key))
        return folder

    def pushed(self, *numbers: str) -> None:
        """Versions of one release, which says that engines start with the first."""
        for version in numbers:
            folder = self.trained(version)
            if version == numbers[0]:
                self.told("start", str(folder), "--key", str(self.key))
            self.told("push", str(folder))

    def starts(self) -> str:
        """The version that engines start with."""
        keys = RELEASE.read_public(self.settings.model_key_files)
        return start_of(self.models, "farmer", keys).version


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def test_a_signed_model_is_valid(desk: Desk) -> None:
    """Signed by the release's key it passes; the golden rows were scored again."""
    told = desk.told("validate", str(desk.trained("1.0.0")))
    assert (told["model"], told["version"], told["golden_rows"]) == ("farmer", "1.0.0", 2)
    assert told["golden_off"] == 0.0
    assert len(told["signed_by"]) == 1


def test_a_model_of_another_key_is_not(desk: Desk) -> None:
    """Signed, but by nobody this engine trusts."""
    with pytest.raises(ModelError, match="not trusted here"):
        desk.say("validate", str(small_folder(desk.folder / "other")))


def test_golden_rows_that_differ_are_found(desk: Desk) -> None:
    """A model that answers otherwise than its source did is refused though all hashes are right."""
    folder = small_folder(desk.folder / "odd", golden_off=0.01)
    desk.told("sign", str(folder), "--key", str(desk.key))
    with pytest.raises(ModelError, match=r"answers otherwise, by up to 0\.01"):
        desk.say("validate", str(folder))


def test_a_card_that_is_not_the_released_one_is_named(desk: Desk) -> None:
    """Validating, signing and pushing say which page differs or lacks; engines load it still."""
    folder = small_folder(desk.folder / "paper", documents=("card.md", "calibration.svg"))
    desk.told("sign", str(folder), "--key", str(desk.key))
    desk.told("validate", str(folder))
    (folder / "card.md").write_text("better figures", encoding="utf-8")
    (folder / "calibration.svg").unlink()
    for verb in (["validate"], ["push"], ["sign", "--key", str(desk.key)]):
        with pytest.raises(ModelError, match=r"manifest says: card\.md, calibration\.svg"):
            desk.say(*verb, str(folder))
    trusted = RELEASE.read_public(desk.settings.model_key_files)
    assert OnnxScorer(folder, trusted).manifest.algorithm == "by hand"


def test_the_commanded_models_are_opened_as_a_worker_would(desk: Desk) -> None:
    """Doctor names each place a command filled; another release there, or none, is a fault."""
    desk.pushed("1.0.0", "1.1.0")
    (nobody,) = opened(desk.settings, Switches())
    assert nobody.detail == "no command names a model: engines decide with those above"
    facts = {"action": "model", "scope": "model", "name": "farmer"}
    given = command(**facts, model=promoted(desk, "1.1.0")["model"])
    switches = Switches().with_command(given, 0)
    (remark,) = opened(desk.settings, switches)
    assert remark.detail.startswith("farmer 1.1.0, champion by command: here, signed by ")
    folder = desk.models / "farmer" / "1.1.0"
    shutil.rmtree(folder)
    with pytest.raises(ModelError, match=r"farmer 1\.1\.0, champion by command: .*cannot be read"):
        list(opened(desk.settings, switches))
    other = small_folder(desk.folder / "other", "1.1.0", documents=("card.md",))
    desk.told("sign", str(other), "--key", str(desk.key))
    shutil.copytree(other, folder)
    with pytest.raises(ModelError, match="another release than the one that was signed for"):
        list(opened(desk.settings, switches))


def test_what_was_accepted_needs_a_second_signature(desk: Desk) -> None:
    """Whoever signs is told what for; an engine loads it under two keys, and not with a gap."""
    folder, other = small_folder(desk.folder / "odd"), desk.folder / "other"
    why = "the made-up rows of this test record no ages"
    rewrite(folder, lambda m: m["metrics"]["fairness"].update(absent=["age"]))
    first = ["sign", str(folder), "--key", str(desk.key)]
    with pytest.raises(ModelError, match="impact ratio by age not measured"):
        desk.say(*first)
    rewrite(folder, lambda m: m["metrics"].update(accepted={"age": why}))
    said = desk.say(*first)
    assert f"you vouch that the line age need not hold: {why}" in said
    assert "a second person must sign" in said
    with pytest.raises(ModelError, match="one signature, and two must vouch") as refused:
        desk.say("validate", str(folder))
    assert "--add" in refused.value.fix
    desk.say(*first, "--add")
    desk.say("keygen", str(other))
    keys = [*desk.settings.model_key_files, other / "release.pub"]
    with pytest.raises(ModelError, match="one signature"):
        OnnxScorer(folder, RELEASE.read_public(keys))
    desk.say("sign", str(folder), "--key", str(other / "release.key"), "--add")
    assert OnnxScorer(folder, RELEASE.read_public(keys)).manifest.metrics.accepted == {"age": why}


def test_an_engine_loads_nothing_beyond_the_gate(tmp_path: Path) -> None:
    """Signed by whom it trusts, and yet not accepted: refused as anything unsigned is."""
    folder = small_folder(tmp_path / "odd")
    rewrite(folder, lambda m: m["metrics"]["fairness"].update(absent=["age"]))
    signed(folder)
    with pytest.raises(ModelError, match="does not pass the gate: impact ratio by age"):
        OnnxScorer(folder, RELEASED)


def test_nothing_broken_is_signed(desk: Desk) -> None:
    """Whoever signs is told first that the files do not belong together."""
    folder = small_folder(desk.folder / "odd")
    (folder / "model.onnx").write_bytes(b"other")
    with pytest.raises(ModelError, match="does not have the hash"):
        desk.say("sign", str(folder), "--key", str(desk.key))


def test_a_second_release_key_may_sign_beside(desk: Desk) -> None:
    """`--add` keeps what is there; without it the signature is the only one."""
    folder, other = desk.trained("1.0.0"), desk.folder / "other"
    desk.say("keygen", str(other))
    count = len((folder / "manifest.sig").read_text().split("key_id"))
    desk.say("sign", str(folder), "--key", str(other / "release.key"), "--add")
    assert len((folder / "manifest.sig").read_text().split("key_id")) == count + 1
    with pytest.raises(ModelError, match="not trusted here"):
        desk.say("validate", str(folder))
    desk.say("sign", str(folder), "--key", str(desk.key))
    assert len(desk.told("validate", str(folder))["signed_by"]) == 1


def test_a_pushed_version_decides_nothing_yet(desk: Desk) -> None:
    """The first version is what engines start with, and stays so when others come."""
    desk.pushed("1.9.0", "1.10.0")
    assert versions(desk.models, "farmer") == ["1.9.0", "1.10.0"]
    assert desk.starts() == "1.9.0"
    desk.told("start", str(desk.folder / "build" / "1.10.0"), "--key", str(desk.key))
    desk.told("push", str(desk.folder / "build" / "1.10.0"))
    assert desk.starts() == "1.9.0"
    rows = desk.told("list")["models"]
    assert [(row["version"], row["stands_as"]) for row in rows] == [
        ("1.9.0", "champion"), ("1.10.0", None)
    ]  # fmt: skip
    assert "1.10.0" in desk.say("list")


def test_a_version_is_pushed_once(desk: Desk) -> None:
    """The very same again changes nothing; other content under the same number is refused."""
    folder = desk.trained("1.0.0")
    assert [desk.told("push", str(folder))["new"] for _ in range(2)] == [True, False]
    card = json.loads((folder / "manifest.json").read_text()) | {"algorithm": "another"}
    (folder / "manifest.json").write_text(json.dumps(card))
    desk.told("sign", str(folder), "--key", str(desk.key))
    with pytest.raises(ModelError, match="is there with other content"):
        desk.say("push", str(folder))


def test_a_spoilt_version_is_listed_with_its_fault(desk: Desk) -> None:
    """The list says of each version whether it could be loaded."""
    desk.pushed("1.0.0")
    (desk.models / "farmer" / "1.0.0" / "model.onnx").write_bytes(b"x")
    [row] = desk.told("list")["models"]
    assert "does not have the hash" in row["fault"]


def unstarted(desk: Desk) -> None:
    (desk.models / "farmer" / ALIASES_FILE).unlink()


def chosen(desk: Desk, key: Any = None, **changes: Any) -> None:
    """The file by whoever can write the folder: with other words under the signature, or a key."""
    file = desk.models / "farmer" / ALIASES_FILE
    if key is not None:
        starting(desk.models / "farmer" / "1.1.0", key)
    said = json.loads(file.read_text()) | changes
    file.write_bytes(msgspec.json.format(msgspec.json.encode(said), indent=2) + b"\n")


@pytest.mark.parametrize(
    ("said", "harm"),
    [
        ("nobody says which one starts", unstarted),
        ("is not over this release", lambda d: chosen(d, champion="1.1.0")),
        ("is not over this release", lambda d: chosen(d, manifest_sha256="0" * 64)),
        ("not trusted here", lambda d: chosen(d, STRANGER_KEY)),
        ("for farmer", lambda d: chosen(d, model_id="merchant")),
        ("missing required field", lambda d: (d.models / "farmer" / ALIASES_FILE).write_text(
            '{"champion": "1.1.0"}')),
        ("another release", lambda d: (rewrite(d.models / "farmer" / "1.0.0",
                                               lambda m: m.update(algorithm="x")),
                                       d.told("sign", str(d.models / "farmer" / "1.0.0"),
                                              "--key", str(d.key)))),
        ("cannot be read", lambda d: (d.models / "farmer" / "1.0.0").rename(d.models / "gone")),
    ],
)  # fmt: skip
def test_who_can_write_the_folder_does_not_choose_who_decides(
    desk: Desk, said: str, harm: Any
) -> None:
    """Two sound versions of one release: an engine starts with the one that was signed for."""
    desk.pushed("1.0.0", "1.1.0")
    keys = RELEASE.read_public(desk.settings.model_key_files)
    assert load_models(desk.models, ["farmer"], keys)["farmer"].manifest.version == "1.0.0"
    harm(desk)
    with pytest.raises(ModelError, match=said):
        load_models(desk.models, ["farmer"], keys)


def promoted(desk: Desk, version: str, **changes: Any) -> dict[str, Any]:
    place = Place("farmer", Alias.CHAMPION, version)._replace(**changes)
    return facts_of(desk.settings, Switches(), place, "test")


def test_a_command_names_the_release_that_was_looked_at(desk: Desk) -> None:
    """Version, hash of the manifest and what it replaces; an older one only as a rollback."""
    desk.pushed("1.1.0", "1.0.0", "1.2.0")
    was, sha256 = (
        desk.told("validate", str(desk.models / "farmer" / version))["manifest_sha256"]
        for version in ("1.1.0", "1.2.0")
    )
    expected = {
        "alias": "champion", "version": "1.2.0", "manifest_sha256": sha256, "replaces": "1.1.0",
        "replaces_sha256": was, "rollback": False,
    }  # fmt: skip
    assert expected == promoted(desk, "1.2.0")["model"]
    with pytest.raises(ConfigError, match=r"1\.0\.0 is older than 1\.1\.0"):
        promoted(desk, "1.0.0")
    assert promoted(desk, "1.0.0", rollback=True)["model"]["replaces"] == "1.1.0"
    tried = {"alias": Alias.CHALLENGER, "share_bps": 5}
    with pytest.raises(ConfigError, match=r"1\.0\.0 is older than 1\.1\.0"):
        promoted(desk, "1.0.0", **tried)
    assert promoted(desk, "1.0.0", **tried, rollback=True)["model"]["replaces_sha256"] == was
    with pytest.raises(ConfigError, match="is the champion"):
        promoted(desk, "1.1.0", alias=Alias.SHADOW)
    with pytest.raises(ConfigError, match="no command has put"):
        before(Switches(), "farmer")


def test_a_proposal_must_still_follow_when_it_is_approved(desk: Desk) -> None:
    """Proposed before another was promoted: the second person is told, and nothing is written."""
    desk.pushed("1.0.0", "1.1.0", "1.2.0")

    def given(version: str, second: int) -> Command:
        return command(
            action="model", scope="model", model=promoted(desk, version)["model"],
            issued_at=f"2026-11-24T08:00:{second:02}Z",
        )  # fmt: skip

    early, newer = given("1.1.0", 1), given("1.2.0", 2)
    check_follows(desk.settings, Switches(), early)
    after = Switches().with_command(newer, 0)
    check_follows(desk.settings, after, newer)
    for late in (early, given("1.1.0", 3)):
        with pytest.raises(ConfigError, match=r"farmer 1\.1\.0: (a newer|given when 1\.0\.0)"):
            check_follows(desk.settings, after, late)
    odd = {**promoted(desk, "1.2.0")["model"], "replaces": "0.9.0"}
    with pytest.raises(ConfigError, match="engines start with another"):
        check_follows(desk.settings, Switches(), command(action="model", scope="model", model=odd))


def test_a_champion_given_again_replaces_whom_it_did(desk: Desk) -> None:
    """As a key is changed, or a host lacked the release: a worker still knows what stood before."""
    desk.pushed("1.0.0", "1.1.0")
    first = command(action="model", scope="model", model=promoted(desk, "1.1.0")["model"])
    after = Switches().with_command(first, 0)
    again = facts_of(desk.settings, after, Place("farmer", Alias.CHAMPION, "1.1.0"), "test")
    assert first.model == msgspec.convert(again["model"], ModelChange)
    given = command(action="model", scope="model", model=again["model"], command_id="cmd-again-1")
    assert after.unfit(Placed(given, 1)) is None


def test_the_draw_of_a_challenger_is_its_releases_own(desk: Desk) -> None:
    """The salt is of the release, so a larger share keeps whom the smaller one had."""
    desk.pushed("1.0.0", "1.1.0")
    shares = [
        promoted(desk, "1.1.0", alias=Alias.CHALLENGER, share_bps=bps)["model"] for bps in (5, 50)
    ]
    assert [each["share_bps"] for each in shares] == [5, 50]
    assert len({each["salt"] for each in shares}) == 1


def test_one_key_is_not_two(desk: Desk) -> None:
    """The same key twice, or one alone, does not promote; the message says how two do."""
    given = command(
        action="model", scope="model",
        model={
            "alias": "champion", "version": "1.2.0", "manifest_sha256": "a" * 64,
            "replaces": "1.1.0", "replaces_sha256": "b" * 64,
        },
    )  # fmt: skip
    for keys in ([KEY], [KEY, KEY]):
        with pytest.raises(ConfigError, match="2 signatures") as refused:
            signed_by(given, keys)
        assert "--propose" in refused.value.fix
    assert len(signed_by(given, [KEY, SECOND_KEY])) == 3


def test_a_proposal_is_signed_by_a_second_person(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another's key signs the very same bytes; the first one's own, or a changed file, does not."""
    desk.pushed("1.0.0", "1.1.0")
    given = command(
        action="model", scope="model", name="farmer", model=promoted(desk, "1.1.0")["model"]
    )
    file, settings = desk.folder / "promote.json", desk.settings
    monkeypatch.setattr(model_place.control, "trusted_of", lambda _settings, *own: TRUSTED)
    monkeypatch.setattr(model_place.time, "time", lambda: to_ms(ISSUED_AT) / 1000)
    propose(file, given, KEY)
    assert given == countersign(settings, file, SECOND_KEY)[0]
    assert words(given) == "farmer 1.1.0 becomes champion, in place of 1.0.0"
    with pytest.raises(ConfigError, match="four_eyes"):
        countersign(settings, file, KEY)
    file.write_text(file.read_text().replace("price error", "committee"))
    with pytest.raises(ConfigError, match="bad_signature"):
        countersign(settings, file, SECOND_KEY)
    file.write_text("{}")
    with pytest.raises(ConfigError, match=r"promote\.json"):
        countersign(settings, file, SECOND_KEY)
