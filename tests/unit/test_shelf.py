"""Models that commands name: loaded beside the loop, refused with the reason, or never there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from control_cases import command
from model_cases import TRUSTED, rewrite, signed, small_folder
from prometheus_client import CollectorRegistry, Gauge

from stream.domain.control import Command, Placed, Switches
from stream.domain.lineup import Pin
from stream.edge.onnx_scorer import OnnxScorer
from stream.edge.shelf import ModelShelf
from stream.errors import ModelError

VERSIONS = ("1.0.0", "1.1.0", "1.2.0")


class Desk:
    """A shelf over three versions on disk, the switches, and who gives the commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for version in VERSIONS:
            small_folder(folder / "farmer" / version, version)
        self.base = OnnxScorer(folder / "farmer" / "1.1.0", TRUSTED)
        self.info = Gauge("info", "i", ["model", "version"], registry=CollectorRegistry())
        self.shelf = ModelShelf(folder, TRUSTED, {"farmer": self.base}, self.info)
        self.switches = Switches()
        self._given = 0

    def command(self, version: str, alias: str = "champion", **changes: Any) -> Command:
        self._given += 1
        model = {"alias": alias, "version": version, "manifest_sha256": self.pin(version)[1]}
        if alias != "shadow":
            stands = self.pin(changes.pop("replaces", "1.1.0"))
            model |= {"replaces": stands[0], "replaces_sha256": stands[1]}
        return command(
            action="model", scope="model", name="farmer", model={**model, **changes},
            command_id=f"cmd-{self._given:08}", issued_at=f"2026-11-24T08:00:{self._given:02}Z",
        )  # fmt: skip

    def pin(self, version: str) -> Pin:
        """The release of that version, as it is on disk."""
        return Pin(version, OnnxScorer(self.folder / "farmer" / version, TRUSTED).manifest_sha256)

    def give(self, given: Command) -> ModelError | None:
        """Have it loaded and, if that worked, put in force; the fault if not."""
        self.shelf.ask(Placed(given, self._given))
        return self.take()

    def take(self) -> ModelError | None:
        """Put the next that was asked for in force; the fault if it cannot be."""
        loaded = self.shelf.next(self.switches, wait=True)
        assert loaded is not None
        placed, fault = loaded
        if fault is None:
            self.switches = self.switches.with_command(*placed)
            self.shelf.settle(self.switches)
        return fault

    def stands(self) -> dict[str, str]:
        """Version by place."""
        lineup = self.shelf.lineup("farmer", self.switches.aliases("farmer"))
        return {seat.alias.value: seat.scorer.manifest.version for seat in lineup.seats}

    def shown(self) -> set[str]:
        """Versions that the metrics show as standing somewhere."""
        [family] = self.info.collect()
        return {sample.labels["version"] for sample in family.samples if sample.value}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.shelf.close()


def test_a_promoted_version_decides(desk: Desk) -> None:
    """Nothing said: what the process started with. Promoted: the other, and the metrics say so."""
    assert desk.stands() == {"champion": "1.1.0"}
    assert desk.give(desk.command("1.2.0", replaces="1.1.0")) is None
    assert desk.stands() == {"champion": "1.2.0"}
    assert desk.shown() == {"1.2.0"}


def test_an_older_version_is_no_command_unless_it_is_a_rollback(desk: Desk) -> None:
    """Neither to decide for all nor for some; with the word for it, it is obeyed."""
    for alias, more in (("champion", {}), ("challenger", {"share_bps": 500, "salt": "s"})):
        with pytest.raises(msgspec.ValidationError, match="is a rollback"):
            desk.command("1.0.0", alias, **more)
        desk.command("1.0.0", alias, **more, rollback=True)
    assert desk.give(desk.command("1.0.0", replaces="1.1.0", rollback=True)) is None
    assert desk.stands() == {"champion": "1.0.0"}


@pytest.mark.parametrize(
    ("said", "harm"),
    [
        ("cannot be read", lambda f: (f / "manifest.json").unlink()),
        ("nobody vouches", lambda f: (f / "manifest.sig").unlink()),
        ("not over this manifest", lambda f: rewrite(f, lambda m: m.update(algorithm="x"))),
        ("another release", lambda f: (rewrite(f, lambda m: m.update(algorithm="x")), signed(f))),
        ("holds farmer 9.9.9", lambda f: (rewrite(f, lambda m: m.update(version="9.9.9")),
                                          signed(f))),
        ("does not have the hash", lambda f: (f / "model.onnx").write_bytes(b"")),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_is_refused_and_the_old_one_serves(
    desk: Desk, said: str, harm: Any
) -> None:
    """Gone, unsigned, changed, another's: the reason is named and nothing changes."""
    given = desk.command("1.2.0", replaces="1.1.0")
    harm(desk.folder / "farmer" / "1.2.0")
    fault = desk.give(given)
    assert fault is not None
    assert said in fault.message
    assert desk.stands() == {"champion": "1.1.0"}


def test_a_version_has_one_content(desk: Desk) -> None:
    """The same number over other bytes is no command; another number over the same is refused."""
    for odd in ({"replaces_sha256": "0" * 64}, {"replaces_sha256": "0" * 64, "rollback": True}):
        with pytest.raises(msgspec.ValidationError, match="one content"):
            desk.command("1.1.0", **odd)
    given = desk.command("1.2.0", manifest_sha256=desk.base.manifest_sha256)
    fault = desk.give(given)
    assert fault is not None
    assert "another release" in fault.message
    assert desk.stands() == {"champion": "1.1.0"}


def test_challenger_and_shadow_stand_beside(desk: Desk) -> None:
    """Both are loaded; a challenger that is promoted is tried no longer."""
    trial = {"share_bps": 500, "salt": "s"}
    assert desk.give(desk.command("1.2.0", "challenger", **trial)) is None
    assert desk.give(desk.command("1.0.0", "shadow")) is None
    expected = {"champion": "1.1.0", "challenger": "1.2.0", "shadow": "1.0.0"}
    assert expected == desk.stands()
    assert desk.shown() == set(VERSIONS)
    assert desk.give(desk.command("1.2.0", replaces="1.1.0")) is None
    assert desk.stands() == {"champion": "1.2.0", "shadow": "1.0.0"}


def test_a_challenger_is_tried_against_the_champion_it_was_meant_for(desk: Desk) -> None:
    """Where another stands it is refused; a new champion ends the trial, and so it stays."""
    trial = {"share_bps": 500, "salt": "s"}
    fault = desk.give(desk.command("1.2.0", "challenger", replaces="1.0.0", **trial))
    assert fault is not None
    assert "to challenge 1.0.0, and here stands 1.1.0" in fault.message
    assert desk.give(desk.command("1.2.0", "challenger", **trial)) is None
    assert desk.stands() == {"champion": "1.1.0", "challenger": "1.2.0"}
    assert desk.give(desk.command("1.2.0")) is None
    assert desk.give(desk.command("1.1.0", replaces="1.2.0", rollback=True)) is None
    assert desk.stands() == {"champion": "1.1.0"}


def test_a_worker_that_starts_without_the_champion_takes_the_one_before(desk: Desk) -> None:
    """The fallback is that very release, checked, and stands until a command says otherwise."""
    with pytest.raises(ModelError, match="another release"):
        desk.shelf.fall_back("farmer", Pin("1.0.0", "0" * 64))
    desk.shelf.fall_back("farmer", desk.pin("1.0.0"))
    assert desk.stands() == {"champion": "1.0.0"}
    with pytest.raises(ModelError, match="cannot be read"):
        desk.shelf.fall_back("farmer", Pin("0.9.0", "0" * 64))


def test_what_was_asked_for_comes_in_order(desk: Desk) -> None:
    """Several at once: each is judged by what became of the one before, and none is lost."""
    trial = desk.command("1.2.0", "challenger", share_bps=500, salt="s")
    for at, given in enumerate((desk.command("1.2.0"), desk.command("1.0.0", "shadow"), trial)):
        desk.shelf.ask(Placed(given, at))
    assert [desk.take(), desk.take()] == [None, None]
    fault = desk.take()
    assert fault is not None
    assert "here stands 1.2.0" in fault.message
    assert desk.shelf.next(desk.switches, wait=True) is None
    assert desk.stands() == {"champion": "1.2.0", "shadow": "1.0.0"}
