"""Versions of a model put into their places while applications flow, on a real Kafka."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from control_live import Answer, answers, flowing, let_flow
from engine_runs import ANSWER_SECONDS, cases, engine_settings, load_tables, running
from model_cases import FARMER, RELEASE_KEY, released, two_operators
from typer.testing import CliRunner

from stream.broker import EmbeddedBroker
from stream.cli import app
from stream.codec.signatures import public_pem
from stream.config import DEMO_RELEASE_KEYS, Settings
from stream.demo.parts import Parts
from stream.demo.reconcile import end_offsets
from stream.demo.terms import LoanCase
from stream.domain.instant import to_ms
from stream.domain.lineup import Alias
from stream.edge.key_pairs import OPERATOR
from stream.ops import control
from stream.ops.model_place import Place, facts_of

pytestmark = pytest.mark.broker
BEFORE = FARMER.name
RATE = 30.0


class Live(NamedTuple):
    """An engine of two workers, two operators' keys, and people whose offers it holds."""

    settings: Settings
    keys: list[Path]
    parts: Parts
    people: list[LoanCase]

    def say(self, *arguments: str, keys: int = 2) -> tuple[int, Any]:
        """Run a verb of `tenminute model` under so many keys; its exit code and its JSON."""
        return say(self.settings, *arguments, *self.signed(keys))

    def signed(self, keys: int) -> list[str]:
        named = [part for key in self.keys[:keys] for part in ("--key-file", str(key))]
        return [*named, "--reason", "test", "--by", "duty", "--wait"]


def say(settings: Settings, *arguments: str) -> tuple[int, Any]:
    """Run a verb of `tenminute model` under these settings."""
    environment = {
        "TENMINUTE_GROUP_ID": settings.group_id,
        "TENMINUTE_MODELS_DIR": str(settings.models_dir),
        "TENMINUTE_MODEL_KEY_FILES": json.dumps([str(f) for f in settings.model_key_files]),
        "TENMINUTE_CONTROL_KEY_FILES": json.dumps([str(f) for f in settings.control_key_files]),
    }
    whole = ["model", *arguments, "--bootstrap", settings.bootstrap, "--json"]
    result = CliRunner().invoke(app, whole, env=environment)
    if isinstance(result.exception, Exception):
        return -1, str(result.exception)
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture
def live(broker: EmbeddedBroker, tmp_path: Path) -> Iterator[Live]:
    """Three further versions of the farmer model lie on the host."""
    run, people = cases(3_000)
    plain = engine_settings(broker.bootstrap, tmp_path / "engine", run, workers=2)
    models = tmp_path / "models"
    shutil.copytree(plain.models_dir, models)
    for version in ("2.0.0", "3.0.0"):
        released(models, version)
    public = tmp_path / "release.pub"
    public.write_bytes(public_pem(RELEASE_KEY.public_key()))
    private_files, public_files = two_operators(tmp_path)
    settings = plain.model_copy(
        update={
            "models_dir": models,
            "model_key_files": [*DEMO_RELEASE_KEYS, public],
            "control_key_files": public_files,
        }
    )
    load_tables(settings, run, people)
    with running(settings, tmp_path / "logs") as parts:
        yield Live(settings, private_files, parts, people)


def test_versions_change_places_while_applications_flow(live: Live, tmp_path: Path) -> None:
    """Shadow, canary, promote by two, a version refused, rollback: no restart, no mixed record."""
    since = end_offsets(live.settings.bootstrap)
    proposal = tmp_path / "promote.json"
    done: dict[str, tuple[int, Any]] = {}
    with flowing(live.settings, live.people, RATE):
        let_flow(live.settings, live.parts, 20)
        done["shadow"] = live.say("shadow", "farmer", "2.0.0", keys=1)
        let_flow(live.settings, live.parts, 20)
        done["canary"] = live.say("canary", "farmer", "3.0.0", "--share", "50")
        let_flow(live.settings, live.parts, 60)
        done["canary off"] = live.say("canary", "farmer", "--off", keys=1)
        done["alone"] = live.say("promote", "farmer", "2.0.0", keys=1)
        live.say("promote", "farmer", "2.0.0", "--propose", str(proposal), keys=1)
        bo = ["--key-file", str(live.keys[1]), "--yes", "--wait"]
        done["approve"] = say(live.settings, "approve", str(proposal), *bo)
        let_flow(live.settings, live.parts, 40)
        listed = say(live.settings, "list")[1]["models"]
        done["refused"] = give_what_workers_refuse(live)
        let_flow(live.settings, live.parts, 20)
        # What was refused is still on the topic: going back from it makes both agree.
        done["settle"] = live.say("rollback", "farmer")
        done["rollback"] = live.say("rollback", "farmer", "--to", BEFORE)
        let_flow(live.settings, live.parts, 30)
    found = [each for each in answers(live.settings.bootstrap, since) if each.decision.model]
    codes = {name: code for name, (code, _) in done.items()}
    assert codes == {
        "shadow": 0, "canary": 0, "canary off": 0, "alone": -1, "approve": 0, "refused": 1,
        "settle": 0, "rollback": 0,
    }, done  # fmt: skip
    assert "2 signatures" in done["alone"][1]
    refused = done["refused"][1]["refused"]
    assert len(refused) == 2
    assert all("model_refused" in why and "manifest.sig" in why for why in refused.values())
    [standing] = [row for row in listed if (row["model"], row["version"]) == ("farmer", "2.0.0")]
    assert (standing["stands_as"], len(standing["applied"])) == ("champion", 2)
    check_records([each for each in found if each.decision.segment == "farmer"])
    check_times(found, done)


def give_what_workers_refuse(live: Live) -> tuple[int, Any]:
    """Promote a version that is sound here when it is signed for, and spoilt when it is loaded."""
    settings, path = live.settings, live.settings.models_dir / "farmer" / "3.0.0" / "manifest.json"
    keys = [OPERATOR.read_private(file) for file in live.keys]
    seen = control.look(settings, control.trusted_of(settings))
    place = Place("farmer", Alias.CHAMPION, "3.0.0")
    command = control.make_command(
        facts_of(settings, seen.switches, place, "test"), seen.switches, "duty"
    )
    path.write_bytes(path.read_bytes() + b" ")
    offset = control.publish(settings, command, *keys)
    outcome = control.await_acks(settings, command, offset, 2, ANSWER_SECONDS)
    return int(not outcome.complete), {"refused": {a.worker: a.why for a in outcome.acks}}


def check_records(found: list[Answer]) -> None:
    """Each decision is by the model that stood in its arm's place, and compared with the rest."""
    for answer in found:
        audit, used = answer.audit, answer.decision.model
        assert used is not None
        stood = {each.alias: each for each in audit.standing.models}
        place = stood[audit.standing.arm]
        assert (place.version, place.sha256) == (used.version, used.sha256)
        others = {each.alias for each in audit.standing.models} - {audit.standing.arm}
        assert others == {each.alias for each in audit.shadows}
        assert all(each.score_points is not None for each in audit.shadows)
    arms = {(a.decision.model.version, a.audit.standing.arm) for a in found if a.decision.model}
    assert {
        (BEFORE, "champion"), ("3.0.0", "challenger"), ("2.0.0", "champion")
    } == arms  # fmt: skip
    # Every second champion decision had a challenger beside it while the canary flew.
    assert {"challenger", "shadow"} <= {s.alias for a in found for s in a.audit.shadows}


def check_times(found: list[Answer], done: dict[str, tuple[int, Any]]) -> None:
    """After the last worker's word nothing is decided by the version that was left."""
    promoted = acknowledged_ms(done["approve"][1])
    returned = acknowledged_ms(done["rollback"][1])
    issued = to_ms(done["rollback"][1]["issued_at"])
    farmers = [a for a in found if a.decision.segment == "farmer" and a.decision.model]
    between = {a.decision.model.version for a in farmers if promoted < a.at_ms < issued}  # type: ignore[union-attr]
    after = {a.decision.model.version for a in farmers if a.at_ms > returned}  # type: ignore[union-attr]
    assert (between, after) == ({"2.0.0"}, {BEFORE})


def acknowledged_ms(told: dict[str, Any]) -> int:
    return to_ms(told["issued_at"]) + int(told["acknowledged_ms"])
